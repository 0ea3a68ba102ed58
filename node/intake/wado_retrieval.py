"""Fetching a series by WADO-RS (PS3.18 10.4): each instance goes through the inbox as it comes."""

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
from node.intake.multipart import parse_boundary, parts
from node.intake.part10 import received_from_part10
from node.store import Store
from node.store.received.retrievals import Retrieval

_LOG = structlog.get_logger()

# Seconds to connect, and of silence.
_TIMEOUT_SECONDS = (10.0, 120.0)
_CHUNK_BYTES = 1 << 20
# As it is stored there: nothing is transcoded on its way (PS3.18 8.7.3.5.2).
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_NOT_THERE = {404, 410}


@dataclass(frozen=True)
class DicomWebSource:
    """A DICOMweb server to fetch from; `url` is the root that `/studies` follows."""

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
    """Fetch every instance of a series and hand it to `accept`; how many there were.

    Fetching again is harmless, as accepting again is.

    Raises:
        Transient: the server does not answer, or the connection broke.
        Rejected: it does not have the series, or what it sent is no DICOM or of another series.
    """
    url = f"{source.url}/studies/{study}/series/{series}"
    origin = Origin(Channel.DICOMWEB, source.name)
    count = 0
    with _answer(source, url) as answer:
        boundary = parse_boundary(answer.headers.get("Content-Type", ""))
        chunks: Iterator[bytes] = answer.iter_content(_CHUNK_BYTES)
        for content in parts(chunks, boundary) if boundary else iter([b"".join(chunks)]):
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
def _answer(source: DicomWebSource, url: str) -> Iterator[requests.Response]:
    """The server's answer, its body still to come; an error within the block is ours to tell."""
    try:
        with requests.get(
            url,
            headers={"Accept": _ACCEPT},
            auth=(source.username, source.password) if source.username else None,
            timeout=_TIMEOUT_SECONDS,
            stream=True,
        ) as answer:
            if answer.status_code in _NOT_THERE:
                raise Rejected(
                    RejectionReason.INVALID_INSTANCE,
                    f"{url} answered {answer.status_code}: it does not have this series",
                )
            if not answer.ok:
                hint = (
                    ": check the user name and password" if answer.status_code in {401, 403} else ""
                )
                raise Transient(f"{url} answered {answer.status_code} {answer.reason}{hint}")
            yield answer
    except requests.RequestException as error:
        raise Transient(f"{url} does not answer: {error}") from error


@dataclass
class Retriever:
    """Works off the requests to fetch a series; one that fails for a while is tried again."""

    sources: Mapping[str, DicomWebSource]
    store: Store
    inbox: Inbox
    now: Callable[[], datetime]
    give_up_after: timedelta
    clock: Callable[[], float] = time.monotonic
    _failures: dict[int, int] = field(default_factory=dict)
    _not_before: dict[int, float] = field(default_factory=dict)

    def poll(self) -> None:
        """Fetch what was asked for and is due."""
        for request in self.store.open_retrievals():
            number = request.retrieval_id
            if self._not_before.get(number, 0.0) <= self.clock():
                self._fetch(request)

    def _fetch(self, request: Retrieval) -> None:
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
            self._try_later(request, error)
        else:
            _LOG.info(
                "retrieval.done",
                source=request.source,
                series=request.series_instance_uid,
                instances=count,
            )
            # All of it is here: there is no need to wait for the quiet time.
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

    def _try_later(self, request: Retrieval, error: Transient) -> None:
        number = request.retrieval_id
        if self.now() - request.requested_at > self.give_up_after:
            self._finish(request, f"given up: {error}")
            return
        failures = self._failures.get(number, 0) + 1
        wait_s = retry_delay_s(failures, first_s=2.0, max_s=300.0, jitter=0.5)
        self._failures[number] = failures
        self._not_before[number] = self.clock() + wait_s
        _LOG.warning("retrieval.waits", error=str(error), next_try_in_s=round(wait_s))

    def _finish(self, request: Retrieval, error: str) -> None:
        if error:
            _LOG.warning("retrieval.failed", series=request.series_instance_uid, error=error)
        self.store.finish_retrieval(request.retrieval_id, self.now(), error)
        self._failures.pop(request.retrieval_id, None)
        self._not_before.pop(request.retrieval_id, None)
