"""Processes the stored retrieval requests: one series at a time from each source, with retries."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.identifiers import Uid
from node.domain.instance import ReceivedInstance
from node.domain.retry_policy import NO_SPREAD_JITTER, RetryPolicy, given_up
from node.intake.inbox import Inbox
from node.store import Store
from node.store.received.retrievals import Retrieval

_LOG = structlog.get_logger()

Accept = Callable[[ReceivedInstance], object]
# Retrieves a series of a study, passes each instance to `Accept` unless the listener receives it,
# and returns the number of instances. Raises Transient or Rejected.
RetrieveSeries = Callable[[Uid, Uid, Accept], int]


@dataclass
class Retriever:
    """Processes the retrieval requests; retries one that fails for a transient reason.

    A request stays in the database until its series is complete or cannot be had. After a restart
    every open request is tried again at once. Retrieving twice is harmless, because accepting an
    instance twice is.
    """

    sources: Mapping[str, RetrieveSeries]
    store: Store
    inbox: Inbox
    now: Callable[[], datetime]
    policy: RetryPolicy
    clock: Callable[[], float] = time.monotonic
    _not_before: dict[int, float] = field(default_factory=dict)

    def poll(self, source: str) -> None:
        """Retrieves every requested series of `source` that is due, one after the other.

        A slow source does not delay another that is polled on its own thread.
        """
        for request in self.store.open_retrievals(source):
            if self._not_before.get(request.retrieval_id, 0.0) <= self.clock():
                self._retrieve(request)

    def refuse_unknown_sources(self) -> None:
        """Ends the requests to sources that the configuration does not have (any more)."""
        for request in self.store.open_retrievals():
            if request.source not in self.sources:
                known = ", ".join(self.sources) or "none"
                self._finish(
                    request,
                    f"the configuration has no source {request.source!r}; it has: {known}",
                )

    def _retrieve(self, request: Retrieval) -> None:
        outcome = attempt(
            lambda: self.sources[request.source](
                request.study_instance_uid, request.series_instance_uid, self._accept
            )
        )
        match outcome:
            case Rejected():
                self._finish(request, str(outcome))
            case Transient():
                self._postpone(request, outcome)
            case Defect(message, trace):
                _LOG.error("retrieval.defect", retrieval=request.retrieval_id, trace=trace)
                self._finish(request, message)
            case count:
                self._complete(request, count)

    def _accept(self, received: ReceivedInstance) -> None:
        self.inbox.accept(received, self.now())

    def _complete(self, request: Retrieval, count: int) -> None:
        _LOG.info(
            "retrieval.finished",
            source=request.source,
            series=request.series_instance_uid,
            instances=count,
        )
        # The series is complete: there is no need to wait for the quiet time.
        self.store.request_start(request.series_instance_uid, self.now())
        self._finish(request, "")

    def _postpone(self, request: Retrieval, error: Transient) -> None:
        now = self.now()
        age = now - request.requested_at
        if age > self.policy.give_up_after:
            self._finish(request, given_up(age, str(error)))
            return
        wait_s = self.policy.delay_s(request.attempts + 1, NO_SPREAD_JITTER)
        self._not_before[request.retrieval_id] = self.clock() + wait_s
        self.store.postpone_retrieval(
            request.retrieval_id, str(error), now + timedelta(seconds=wait_s)
        )
        _LOG.warning(
            "retrieval.postponed",
            source=request.source,
            series=request.series_instance_uid,
            error=str(error),
            next_attempt_in_s=round(wait_s),
        )

    def _finish(self, request: Retrieval, error: str) -> None:
        if error:
            _LOG.warning("retrieval.failed", series=request.series_instance_uid, error=error)
        self.store.finish_retrieval(request.retrieval_id, self.now(), error)
        self._not_before.pop(request.retrieval_id, None)
