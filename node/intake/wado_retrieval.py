"""Retrieval of a series by WADO-RS (PS3.18 10.4); the inbox accepts each instance at once."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import requests
import structlog

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.domain.retry_policy import retry_delay_s
from node.intake.inbox import Inbox
from node.intake.multipart import iter_parts, parse_boundary
from node.intake.part10 import received_from_part10
from node.store import Store
from node.store.received.retrievals import Retrieval

_LOG = structlog.get_logger()

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
    username: str = ""
    password: str = field(default="", repr=False)


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
        for content in iter_parts(chunks, boundary) if boundary else iter([b"".join(chunks)]):
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


@contextmanager
def _response(source: DicomWebSource, url: str) -> Iterator[requests.Response]:
    """Opens a streamed response; converts errors of `requests` within the block to Transient."""
    try:
        with requests.get(
            url,
            headers={"Accept": _ACCEPT},
            auth=(source.username, source.password) if source.username else None,
            timeout=_TIMEOUT_SECONDS,
            stream=True,
        ) as response:
            if response.status_code in _NOT_FOUND:
                raise Rejected(
                    RejectionReason.INVALID_INSTANCE,
                    f"{url} answered {response.status_code}: it does not have this series",
                )
            if not response.ok:
                denied = response.status_code in {401, 403}
                hint = ": check the user name and password" if denied else ""
                raise Transient(f"{url} answered {response.status_code} {response.reason}{hint}")
            yield response
    except requests.RequestException as error:
        raise Transient(f"{url} does not answer: {error}") from error


@dataclass
class Retriever:
    """Processes the retrieval requests; retries one that fails for a transient reason."""

    sources: Mapping[str, DicomWebSource]
    store: Store
    inbox: Inbox
    now: Callable[[], datetime]
    give_up_after: timedelta
    clock: Callable[[], float] = time.monotonic
    _failures: dict[int, int] = field(default_factory=dict)
    _not_before: dict[int, float] = field(default_factory=dict)

    def poll(self) -> None:
        """Retrieves every requested series that is due."""
        for request in self.store.open_retrievals():
            if self._not_before.get(request.retrieval_id, 0.0) <= self.clock():
                self._retrieve(request)

    def _retrieve(self, request: Retrieval) -> None:
        try:
            count = retrieve_series(
                self._source(request.source),
                request.study_instance_uid,
                request.series_instance_uid,
                lambda received: self.inbox.accept(received, self.now()),
            )
        except Rejected as error:
            self._finish(request, str(error))
        except Transient as error:
            self._postpone(request, error)
        else:
            _LOG.info(
                "retrieval.finished",
                source=request.source,
                series=request.series_instance_uid,
                instances=count,
            )
            # The series is complete: there is no need to wait for the quiet time.
            self.store.request_start(request.series_instance_uid, self.now())
            self._finish(request, "")

    def _source(self, name: str) -> DicomWebSource:
        if name not in self.sources:
            raise Rejected(
                RejectionReason.INVALID_INSTANCE,
                f"the configuration has no source {name!r}; it has: "
                f"{', '.join(self.sources) or 'none'}",
            )
        return self.sources[name]

    def _postpone(self, request: Retrieval, error: Transient) -> None:
        retrieval_id = request.retrieval_id
        if self.now() - request.requested_at > self.give_up_after:
            self._finish(request, f"given up: {error}")
            return
        failures = self._failures.get(retrieval_id, 0) + 1
        wait_s = retry_delay_s(failures, first_s=2.0, max_s=300.0, jitter=0.5)
        self._failures[retrieval_id] = failures
        self._not_before[retrieval_id] = self.clock() + wait_s
        _LOG.warning("retrieval.postponed", error=str(error), next_attempt_in_s=round(wait_s))

    def _finish(self, request: Retrieval, error: str) -> None:
        if error:
            _LOG.warning("retrieval.failed", series=request.series_instance_uid, error=error)
        self.store.finish_retrieval(request.retrieval_id, self.now(), error)
        self._failures.pop(request.retrieval_id, None)
        self._not_before.pop(request.retrieval_id, None)
