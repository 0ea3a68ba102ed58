"""Retrieval of a series by WADO-RS (PS3.18 10.4); the inbox accepts each instance at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from requests.auth import AuthBase

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.http.credentials import NO_CREDENTIALS, Credentials, send_with_credentials
from node.http.tls_connections import NO_FILES, no_answer, tls_options
from node.intake.multipart import MAX_PART_BYTES, PartTooLarge, iter_parts, parse_boundary
from node.intake.part10 import received_from_part10
from node.tls.certificate_files import TlsFiles

# Connect timeout and read timeout.
_TIMEOUT_SECONDS = (10.0, 120.0)
_CHUNK_BYTES = 1 << 20
# `*` asks for the stored transfer syntax, without transcoding (PS3.18 8.7.3.5.2).
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_NOT_FOUND = {404, 410}


@dataclass(frozen=True)
class DicomWebSource:
    """A DICOMweb server; `url` is the part before `/studies`."""

    name: str
    url: str
    credentials: Credentials = NO_CREDENTIALS
    files: TlsFiles = NO_FILES


def retrieve_series(
    source: DicomWebSource,
    study: Uid,
    series: Uid,
    accept: Callable[[ReceivedInstance], object],
) -> int:
    """Retrieves every instance of a series and passes it to `accept`; returns their number.

    Retrieving a series again is harmless, because accepting an instance again is.

    Raises:
        Transient: the server does not answer, or the connection broke.
        Rejected: the server does not have the series, or sent invalid DICOM or another series.
    """
    url = f"{source.url}/studies/{study}/series/{series}"
    origin = Origin(Channel.DICOMWEB, source.name)
    count = 0
    with _response(source, url) as response:
        boundary = parse_boundary(response.headers.get("Content-Type", ""))
        chunks: Iterator[bytes] = response.iter_content(_CHUNK_BYTES)
        for content in iter_parts(chunks, boundary) if boundary else _whole(chunks):
            received = received_from_part10(content, origin)
            if received.series_instance_uid != series:
                raise Rejected(
                    RejectionReason.INVALID_INSTANCE,
                    f"{url} gave an instance of another series, {received.series_instance_uid}",
                )
            accept(received)
            count += 1
    if count == 0:
        raise Rejected(RejectionReason.INVALID_INSTANCE, f"{url} has no instances")
    return count


def _whole(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the whole body as one instance."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_PART_BYTES:
            raise PartTooLarge
    yield bytes(body)


@contextmanager
def _response(source: DicomWebSource, url: str) -> Iterator[requests.Response]:
    """Opens a streamed response; converts errors of `requests` within the block to Transient."""
    with _opened(source, url) as response:
        if response.status_code in _NOT_FOUND:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"{url} answered {response.status_code}: it does not have this series",
            )
        if not response.ok:
            denied = response.status_code in {401, 403}
            hint = f": {source.credentials.remedy}" if denied else ""
            raise Transient(f"{url} answered {response.status_code} {response.reason}{hint}")
        try:
            yield response
        except requests.RequestException as error:
            raise no_answer(error, url, source.files) from error


def _opened(source: DicomWebSource, url: str) -> requests.Response:
    def send(auth: AuthBase | None) -> requests.Response:
        return requests.get(
            url,
            headers={"Accept": _ACCEPT},
            auth=auth,
            timeout=_TIMEOUT_SECONDS,
            stream=True,
            **tls_options(source.files),
        )

    try:
        return send_with_credentials(send, source.credentials)
    except OSError as error:  # every exception of requests is one, and so is a missing file
        raise no_answer(error, url, source.files) from error
