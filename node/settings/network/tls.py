"""Settings of DICOM over TLS, for the listener and for all associations that the node opens."""

import ssl
from typing import Annotated, Literal

from pydantic import AfterValidator

from node.settings.network.tls_files import TlsFileOptions
from node.tls.contexts import RECOMMENDED_CIPHERS


def _ciphers(text: str) -> str:
    """Checks a list of ciphers in OpenSSL's form."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(text)
    except ssl.SSLError as error:
        message = f'names no cipher that OpenSSL knows: use "{RECOMMENDED_CIPHERS}"'
        raise ValueError(message) from error
    return text


class DicomTlsOptions(TlsFileOptions):
    """The node's certificate for DICOM over TLS, and whom it trusts (PS3.15 B.12).

    `ca_file` holds the authorities that sign the certificates of peers; None: those of the system.
    `ciphers` are those of TLS 1.2; TLS 1.3 has its own.
    """

    minimum_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: Annotated[str, AfterValidator(_ciphers)] = RECOMMENDED_CIPHERS
