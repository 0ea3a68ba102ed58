"""Performs the work items of one worklist: claims, reads, follows the jobs, reports the end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from pydicom.dataset import Dataset

from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.retry_policy import NO_SPREAD_JITTER, RetryPolicy, given_up
from node.domain.worklists.codes import Code, Discontinuation
from node.domain.worklists.work_item import OWNED, WorkItem, WorkItemState
from node.routing.rules import Rule
from node.store import Store
from node.worklists.final_report import FinalReports
from node.worklists.input_progress import Ending, InputProgress, progress_of
from node.worklists.input_sources import InputSources
from node.worklists.job_stop import JobStop
from node.worklists.performed import progress_report
from node.worklists.scheduled import read_scheduled
from node.worklists.subscriptions import Subscriptions
from node.worklists.ups_client import RequestRefused, UpsServer, WorkItemGone

_LOG = structlog.get_logger()
_SCHEDULED, _IN_PROGRESS = "SCHEDULED", "IN PROGRESS"
_FINAL_STATE = {WorkItemState.COMPLETING: "COMPLETED", WorkItemState.CANCELING: "CANCELED"}
_ENDED = {"COMPLETED", "CANCELED"}


@dataclass
class Performer:
    """Takes each open work item one step further, whenever it can.

    Every step can be repeated: what it decides is durable before the server gets the request,
    and the server takes the same request twice. `give_up_after` limits the time between claim and
    end; that of `policy` limits how long the server may fail to take the claim or the end.
    """

    worklist: str
    server: UpsServer
    subscriptions: Subscriptions
    sources: InputSources
    reports: FinalReports
    rules: Mapping[str, Rule]
    store: Store
    now: Callable[[], datetime]
    policy: RetryPolicy
    give_up_after: timedelta
    clock: Callable[[], float] = time.monotonic
    _not_before: dict[str, float] = field(default_factory=dict)

    def poll(self) -> None:
        """Takes the next step of every open work item that is due."""
        open_items = self.store.open_work_items(self.worklist)
        for item in open_items:
            if self._not_before.get(item.work_item_uid, 0.0) <= self.clock():
                self._advance(item)
        open_uids = {item.work_item_uid for item in open_items}
        self._not_before = {u: t for u, t in self._not_before.items() if u in open_uids}

    def check_owned(self) -> None:
        """Gives up the work items that the server has ended or deleted in the meantime."""
        for item in self.store.open_work_items(self.worklist):
            if item.state not in OWNED:
                continue
            match attempt(partial(self.server.retrieve, item.work_item_uid)):
                case WorkItemGone() as gone:
                    self._withdraw(item, str(gone))
                case Dataset() as found if found.get("ProcedureStepState") in _ENDED:
                    self._withdraw(item, f"the server ended it as {found.ProcedureStepState}")
                case _:
                    pass  # it is the node's, or the search reports the failure

    def _advance(self, item: WorkItem) -> None:
        match attempt(lambda: self._step(item)):
            case WorkItemGone() as gone:
                self._withdraw(item, str(gone))
            case Transient() as error:
                self._postpone(item, str(error))
            case Rejected() as error if item.state in OWNED:
                self._cancel(item, Code.of(Discontinuation.OBJECTS_MALFORMED), str(error))
            case Rejected() as error:
                self._postpone(item, str(error))
            case Defect(message, trace):
                _LOG.error("work_item.defect", work_item=item.work_item_uid, trace=trace)
                self._postpone(item, message)
            case None:
                self._not_before.pop(item.work_item_uid, None)

    def _step(self, item: WorkItem) -> None:
        match item.state:
            case WorkItemState.CLAIMING:
                self._claim(item)
            case WorkItemState.CLAIMED | WorkItemState.PERFORMING if self._is_cancelable(item):
                code = item.cancel_code or Code.of(Discontinuation.UNSPECIFIED)
                self._cancel(item, code, "canceled on request")
            case WorkItemState.CLAIMED:
                self._read(item)
            case WorkItemState.PERFORMING:
                self._perform(item)
            case WorkItemState.COMPLETING | WorkItemState.CANCELING:
                self._report_end(item)
            case _:
                pass

    def _claim(self, item: WorkItem) -> None:
        self.subscriptions.subscribe(item)
        uid, transaction_uid = item.work_item_uid, item.transaction_uid
        try:
            self.server.change_state(uid, transaction_uid, _IN_PROGRESS)
        except RequestRefused:
            # Another performer was quicker; or this node, whose claim was not recorded in a crash.
            if not self._owns(item):
                self._withdraw(item, "another performer has claimed it, or it has ended")
                return
        if self.store.change_work_item(item, WorkItemState.CLAIMED, self.now(), reason=""):
            _LOG.info("work_item.claimed", worklist=self.worklist, work_item=uid, rule=item.rule)

    def _owns(self, item: WorkItem) -> bool:
        """Whether the Transaction UID of the work item at the server is that of the node.

        Raises:
            RequestRefused: nobody owns it, and yet the server refuses the claim.
        """
        found = self.server.retrieve(item.work_item_uid)
        if found.get("ProcedureStepState") == _SCHEDULED:
            raise RequestRefused(f"{self.server.url} refuses the claim of a scheduled work item")
        if found.get("ProcedureStepState") != _IN_PROGRESS:
            return False
        try:
            # A server does not disclose the Transaction UID (PS3.18 11.5.3): only its owner may
            # change the work item.
            report = progress_report(0, "claimed")
            self.server.update(item.work_item_uid, item.transaction_uid, report)
        except RequestRefused:
            return False
        return True

    def _read(self, item: WorkItem) -> None:
        rule = self.rules.get(item.rule)
        if rule is None:
            known = "has no task for its code" if not item.rule else f"has no rule {item.rule!r}"
            code = Code.of(Discontinuation.ASSIGNMENT_REJECTED)
            self._cancel(item, code, f"the configuration of this station {known}")
            return
        scheduled = read_scheduled(self.server.retrieve(item.work_item_uid))
        inputs = self.sources.inputs_of(scheduled)
        self.store.start_performing(item, inputs, self.now())

    def _perform(self, item: WorkItem) -> None:
        rule = self.rules.get(item.rule)
        if rule is None:
            code = Code.of(Discontinuation.ASSIGNMENT_REJECTED)
            self._cancel(item, code, f"the configuration no longer has a rule {item.rule!r}")
            return
        inputs = [progress_of(self.store, item, one, rule) for one in item.inputs]
        if self._reruns_lost_results(inputs):
            return
        if all(one.ending is not None for one in inputs):
            self._end(item, inputs)
            return
        percent, text = _summary(inputs)
        if self._is_overdue(item):
            code = Code.of(Discontinuation.EQUIPMENT_FAILURE)
            hours = self.give_up_after.total_seconds() / 3600
            self._cancel(item, code, f"not performed within {hours:g} hours: {text}", inputs)
        elif (percent, text) != (item.progress, item.reason):
            report = progress_report(percent, text)
            self.server.update(item.work_item_uid, item.transaction_uid, report)
            self.store.record_progress(item, percent, text, self.now())

    def _reruns_lost_results(self, inputs: Sequence[InputProgress]) -> bool:
        """Runs jobs again whose results were deleted by retention before this work item."""
        lost = [
            job
            for one in inputs
            if one.ending is Ending.DELIVERED
            for job in one.jobs
            if not self.store.objects_of(job)
        ]
        for job in lost:
            self.store.rerun_job(job.job_id, self.now())
        return bool(lost)

    def _end(self, item: WorkItem, inputs: Sequence[InputProgress]) -> None:
        failed = [one for one in inputs if one.ending is Ending.FAILED]
        if not failed and any(one.ending is Ending.DELIVERED for one in inputs):
            report = self.reports.of_completion(item, inputs, self.now())
            if report:
                self._finish(item, WorkItemState.COMPLETING, "", report)
                return
            reason = "the result was delivered before, to destinations without retrieval"
            self._cancel(item, Code.of(Discontinuation.UNSPECIFIED), reason)
            return
        reason = "; ".join(
            f"series {of.series_instance_uid}: {one.text}"
            for of, one in zip(item.inputs, inputs, strict=True)
            if one.ending is not Ending.DELIVERED
        )
        cause = (failed or inputs)[0]
        self._cancel(item, Code.of(cause.code), reason, inputs)

    def _cancel(
        self, item: WorkItem, code: Code, reason: str, inputs: Sequence[InputProgress] = ()
    ) -> None:
        report = self.reports.of_cancellation(item, inputs, self.now(), code=code, reason=reason)
        self._finish(item, WorkItemState.CANCELING, reason, report)

    def _finish(self, item: WorkItem, state: WorkItemState, reason: str, report: str) -> None:
        self.store.change_work_item(item, state, self.now(), reason=reason, report=report)
        self._not_before.pop(item.work_item_uid, None)

    def _report_end(self, item: WorkItem) -> None:
        uid, transaction_uid = item.work_item_uid, item.transaction_uid
        wanted = _FINAL_STATE[item.state]
        if item.state is WorkItemState.CANCELING and item.cancel_requested_at is not None:
            self._discard_jobs(item)
        try:
            self.server.update(uid, transaction_uid, Dataset.from_json(item.report))
            self.server.change_state(uid, transaction_uid, wanted)
        except RequestRefused:
            state = str(self.server.retrieve(uid).get("ProcedureStepState"))
            if state in _ENDED - {wanted}:
                self._withdraw(item, f"the server ended it as {state}")
                return
            if state != wanted:
                raise
        self._record_end(item, WorkItemState(wanted.lower()), item.reason)

    def _is_cancelable(self, item: WorkItem) -> bool:
        """Whether somebody asks to cancel it, and no destination has a result yet."""
        if item.cancel_requested_at is None:
            return False
        rule = self.rules.get(item.rule)
        return rule is None or not JobStop(self.store, self.now).has_sent(item, rule)

    def _discard_jobs(self, item: WorkItem) -> None:
        if rule := self.rules.get(item.rule):
            reason = f"work item {item.work_item_uid} was canceled"
            JobStop(self.store, self.now).discard_jobs(item, rule, reason)

    def _withdraw(self, item: WorkItem, reason: str) -> None:
        """Ends a work item that is not, or no longer, the node's."""
        self._discard_jobs(item)
        self._record_end(item, WorkItemState.WITHDRAWN, reason)

    def _record_end(self, item: WorkItem, state: WorkItemState, reason: str) -> None:
        if not self.store.change_work_item(item, state, self.now(), reason=reason):
            return
        self._not_before.pop(item.work_item_uid, None)
        self.subscriptions.unsubscribe(item)
        _LOG.info(
            "work_item.ended",
            worklist=self.worklist,
            work_item=item.work_item_uid,
            state=state.value,
            rule=item.rule,
            reason=reason,
        )

    def _is_overdue(self, item: WorkItem) -> bool:
        return self.now() - (item.claimed_at or item.created_at) > self.give_up_after

    def _postpone(self, item: WorkItem, error: str) -> None:
        """Waits before the next attempt; gives up a work item that fails for too long."""
        age = self.now() - item.updated_at
        if item.state in OWNED and self._is_overdue(item):
            self._cancel(item, Code.of(Discontinuation.EQUIPMENT_FAILURE), error)
        elif item.state not in OWNED and age > self.policy.give_up_after:
            self._withdraw(item, given_up(age, error))
        else:
            wait_s = self.policy.delay_s(item.attempts + 1, NO_SPREAD_JITTER)
            self._not_before[item.work_item_uid] = self.clock() + wait_s
            self.store.record_failed_work_item(item, error)
            if error != item.error:
                _LOG.warning("work_item.postponed", work_item=item.work_item_uid, error=error)


def _summary(inputs: Sequence[InputProgress]) -> tuple[int, str]:
    """Returns the mean percent of all series, and the texts of those that have not ended."""
    percents = [one.percent if one.ending is None else 100 for one in inputs]
    texts = dict.fromkeys(one.text for one in inputs if one.ending is None)
    return sum(percents) // len(percents), "; ".join(texts)
