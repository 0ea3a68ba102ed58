"""Turns problems into alerts: opens one when a problem has lasted, ends it with the problem.

Any number of processes on any number of hosts may run this. The database keeps one alert for each
problem, and one message for each alert, phase and channel.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from node.domain.monitoring.alert import Alert, AlertChannel
from node.domain.monitoring.problem import Problem, ProblemKind
from node.store import Store

_LOG = structlog.get_logger()
# A process that is restarted is away for some seconds, and a model needs some more to load.
_PATIENCE: Mapping[ProblemKind, timedelta] = {
    ProblemKind.WORKER_MISSING: timedelta(seconds=15),
    ProblemKind.LISTENER_MISSING: timedelta(seconds=15),
    ProblemKind.STORAGE: timedelta(seconds=15),
}
# An alert about alerts would not be sent either, and a person has paused a queue on purpose; both
# appear in the console.
_WITHOUT_ALERT = {ProblemKind.ALERT_NOT_SENT, ProblemKind.DATABASE, ProblemKind.QUEUE_PAUSED}
_KEPT = timedelta(days=90)


@dataclass
class Alerting:
    """Compares the problems with the open alerts.

    `problems` returns the current problems, and the kinds that it could not check: alerts of
    these stay as they are.
    """

    store: Store
    problems: Callable[[datetime], tuple[Sequence[Problem], Collection[ProblemKind]]]
    channels: Sequence[AlertChannel]
    now: Callable[[], datetime]
    _seen_since: dict[str, datetime] = field(default_factory=dict)

    def poll(self) -> None:
        """Starts and ends alerts."""
        now = self.now()
        found, unknown = self.problems(now)
        current = {p.key: p for p in found if p.kind not in _WITHOUT_ALERT}
        if any(p.kind is ProblemKind.DATABASE for p in found):
            return
        self._seen_since = {key: self._seen_since.get(key, now) for key in current}
        open_alerts = {alert.key: alert for alert in self.store.open_alerts()}
        for key, problem in current.items():
            if key not in open_alerts and self._has_lasted(problem, now):
                self._start(problem, now)
        for key, alert in open_alerts.items():
            if key not in current and alert.kind not in unknown:
                self._end(alert, now)

    def remove_old(self) -> None:
        """Deletes alerts that ended long ago."""
        self.store.remove_old_alerts(self.now() - _KEPT)

    def _has_lasted(self, problem: Problem, now: datetime) -> bool:
        patience = _PATIENCE.get(problem.kind, timedelta(0))
        return now - self._seen_since[problem.key] >= patience

    def _start(self, problem: Problem, now: datetime) -> None:
        alert = self.store.start_alert(problem, self.channels, now)
        if alert is not None:
            _LOG.warning(
                "alert.started", kind=alert.kind.value, subject=alert.subject, text=alert.text
            )

    def _end(self, alert: Alert, now: datetime) -> None:
        if self.store.end_alert(alert.alert_id, now) is not None:
            _LOG.info("alert.ended", kind=alert.kind.value, subject=alert.subject)
