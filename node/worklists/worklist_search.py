"""Searches a worklist at an interval for work items that this node can perform."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from node.domain.error_classification import Defect, attempt
from node.domain.identifiers import Uid
from node.domain.retry_policy import NO_SPREAD_JITTER, RetryPolicy
from node.domain.worklists.codes import Code
from node.store import Store
from node.worklists.scheduled import RETURN_KEYS, ScheduledWorkItem, read_many
from node.worklists.ups_client import UpsServer

_LOG = structlog.get_logger()
_PAGE = 100
_MAX_PAGES = 50


@dataclass(frozen=True)
class WorklistFilter:
    """Which work items are for this node; a text that is empty matches everything.

    `tasks` maps the value and scheme of a Scheduled Workitem Code to the name of a rule.
    """

    station: str
    station_scheme: str
    label: str
    tasks: Mapping[tuple[str, str], str]

    def parameters(self) -> dict[str, str]:
        """Returns the matching keys of a search (PS3.18 8.3.4.1)."""
        keys = {"ProcedureStepState": "SCHEDULED", "InputReadinessState": "READY"}
        if self.station:
            keys["ScheduledStationNameCodeSequence.CodeValue"] = self.station
        if self.label:
            keys["WorklistLabel"] = self.label
        return keys

    def matches(self, item: ScheduledWorkItem) -> bool:
        """Whether the work item has the keys; some servers ignore a key that they do not know."""
        if item.state not in {"", "SCHEDULED"} or (self.label and item.label != self.label):
            return False
        return not self.station or any(
            code.value == self.station and self.station_scheme in {"", code.scheme}
            for code in item.station_codes
        )

    def rule_of(self, item: ScheduledWorkItem) -> tuple[str, Code | None] | None:
        """Returns the rule for a work item and the code that selects it; None: leave it alone.

        The rule of a code without a task is empty where the work item is for this station: the
        node then claims and cancels it, because nobody else will.
        """
        for code in item.workitem_codes:
            if rule := self.tasks.get((code.value, code.scheme)):
                return rule, code
        if not self.station:
            return None
        return "", next(iter(item.workitem_codes), None)


@dataclass
class WorklistSearch:
    """Stores the work items that the node is to claim, urgent ones first.

    At most `max_open` are open at a time, so that other performers get their share.
    """

    worklist: str
    server: UpsServer
    wanted: WorklistFilter
    max_open: int
    store: Store
    now: Callable[[], datetime]
    policy: RetryPolicy
    new_transaction_uid: Callable[[], Uid]
    clock: Callable[[], float] = time.monotonic
    _failures: int = field(default=0)
    _not_before: float = field(default=0.0)

    def poll(self) -> bool:
        """Searches once, unless a failure is too recent; keeps the status of the server.

        Returns whether the server has answered.
        """
        if self.clock() < self._not_before:
            return False
        failure = attempt(self._search)
        if failure is None:
            self._record_answer()
            return True
        error = failure.message if isinstance(failure, Defect) else str(failure)
        trace = failure.trace if isinstance(failure, Defect) else ""
        if self._failures == 0:
            _LOG.error("worklist.failed", worklist=self.worklist, error=error, trace=trace)
        self._failures += 1
        self._not_before = self.clock() + self.policy.delay_s(self._failures, NO_SPREAD_JITTER)
        self.store.record_worklist_failure(self.worklist, error, self.now())
        return False

    def _record_answer(self) -> None:
        if self._failures:
            _LOG.info("worklist.answers_again", worklist=self.worklist, failures=self._failures)
        self._failures, self._not_before = 0, 0.0
        self.store.record_worklist_answer(self.worklist, self.now())

    def _search(self) -> None:
        room = self.max_open - len(self.store.open_work_items(self.worklist))
        now = self.now()
        due = [i for i in self._found() if self.wanted.matches(i) and i.is_due(now)]
        for item in sorted(due, key=lambda item: item.urgency):
            if room <= 0:
                return
            chosen = self.wanted.rule_of(item)
            if chosen is not None and self._add(item, *chosen):
                room -= 1

    def _add(self, item: ScheduledWorkItem, rule: str, code: Code | None) -> bool:
        return self.store.add_work_item(
            self.worklist,
            item.uid,
            self.now(),
            transaction_uid=self.new_transaction_uid(),
            rule=rule,
            code=code,
        )

    def _found(self) -> list[ScheduledWorkItem]:
        """Returns the work items of all pages; a server that knows no pages answers with all."""
        found: dict[Uid, ScheduledWorkItem] = {}
        for page in range(_MAX_PAGES):
            limits = {"limit": str(_PAGE), "offset": str(page * _PAGE)}
            datasets = self.server.search(self.wanted.parameters() | limits, RETURN_KEYS)
            known = len(found)
            found |= {item.uid: item for item in read_many(datasets)}
            if len(datasets) < _PAGE or len(found) == known:
                break
        return list(found.values())
