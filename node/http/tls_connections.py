"""TLS of requests to HTTP services: the files of both sides, and why there is no connection."""

from typing import Any
from urllib.parse import urlsplit

import requests

from node.domain.errors import Transient
from node.tls.certificate_files import TlsFiles
from node.tls.failures import CLOSED_BY_SERVER, TlsFailure, is_closed_by_server, tls_failure
from node.tls.refusal import refusal

NO_FILES = TlsFiles()
NO_TLS = "agree on no TLS connection"
_HTTPS_PORT = 443


def tls_options(files: TlsFiles) -> dict[str, Any]:
    """Returns the arguments of `requests` for a connection with these files."""
    # A key beside its certificate is named, too: urllib3 would ask for its password otherwise.
    own = None if files.certificate is None else (str(files.certificate), str(files.own_key))
    return {"verify": True if files.ca is None else str(files.ca), "cert": own}


def request_failure(error: OSError, url: str, files: TlsFiles) -> TlsFailure | None:
    """Returns why a request by `requests` failed; None where TLS is not the cause."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    failure = tls_failure(error, files)
    if failure in {None, CLOSED_BY_SERVER} and is_closed_by_server(error):
        return refusal(parts.hostname, parts.port or _HTTPS_PORT, files)
    return failure


def no_answer(error: OSError, url: str, files: TlsFiles) -> Transient:
    """Returns the failure of a request that has no response."""
    failure = request_failure(error, url, files)
    if failure is not None:
        return Transient(f"{url} and the node {NO_TLS}: {failure}")
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return Transient(
            f"{url} does not answer: check the address and the firewall, and that the server runs"
        )
    return Transient(f"{url} does not answer: {error}")
