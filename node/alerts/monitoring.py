"""The periodic tasks of monitoring, which web process and worker both run.

A worker that hangs sends no alert about itself; the web process does. On a site where one of them
is missing, the other is enough.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from node.alerts.alerting import Alerting
from node.alerts.channel import channels_from
from node.alerts.message import site_name
from node.alerts.sending import AlertSender
from node.domain.monitoring.problem import Problem, ProblemKind
from node.health.destinations import DestinationWatch, attention_policy
from node.health.drift import RECENT, REFERENCE, drift_problems
from node.health.problems import current_problems
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store

_POLL_SECONDS = 5.0
_DRIFT_SECONDS = 3600.0
# The first comparison waits until the node has started.
_FIRST_DRIFT_SECONDS = 60.0
_CLEANUP_SECONDS = 6 * 3600.0


@dataclass
class DriftWatch:
    """The problems of the last comparison with earlier weeks; None before the first."""

    store: Store
    now: Callable[[], datetime]
    problems: Sequence[Problem] | None = field(default=None)

    def poll(self) -> None:
        """Compares the results of the last week with the weeks before."""
        now = self.now()
        jobs = self.store.finished_jobs(now - RECENT - REFERENCE)
        self.problems = drift_problems(jobs, now)


@dataclass(frozen=True)
class Monitoring:
    """Watches destinations and problems, and sends alerts."""

    destinations: DestinationWatch
    alerting: Alerting
    sender: AlertSender
    drift: DriftWatch | None

    def add_to(self, timers: Timers) -> None:
        """Adds the periodic tasks; call it before the timers start."""
        timers.add("destination health", _POLL_SECONDS, self.destinations.poll)
        timers.add("alerts", _POLL_SECONDS, self.alerting.poll)
        timers.add("alert messages", _POLL_SECONDS, self.sender.poll)
        timers.add("old alerts", _CLEANUP_SECONDS, self.alerting.remove_old)
        if self.drift is not None:
            timers.add_with_first_run(
                "drift", _DRIFT_SECONDS, self.drift.poll, first_after_s=_FIRST_DRIFT_SECONDS
            )


def monitoring_from(
    settings: Settings, store: Store, now: Callable[[], datetime], *, compares_results: bool
) -> Monitoring:
    """Builds the monitoring of the site.

    A process that `compares_results` with earlier weeks is busy for seconds every hour.

    Raises:
        Misconfigured: a password or token of a channel is missing.
    """
    channels = channels_from(settings)
    is_wanted = settings.monitoring.detect_drift
    drift = DriftWatch(store, now) if is_wanted and compares_results else None

    def problems(moment: datetime) -> tuple[Sequence[Problem], Collection[ProblemKind]]:
        drifting = None if drift is None else drift.problems
        found = current_problems(settings, store, moment, drift=drifting or ())
        unknown = set()
        if is_wanted and drifting is None:
            unknown.add(ProblemKind.RESULTS_DRIFTING)
        if any(problem.kind is ProblemKind.STORAGE for problem in found):
            unknown.add(ProblemKind.DISK_LOW)  # the disk got worse, not better
        return found, unknown

    return Monitoring(
        destinations=DestinationWatch(store, attention_policy(settings), now),
        alerting=Alerting(store, problems, tuple(channels), now),
        sender=AlertSender(store, channels, site_name(settings), now, random.random),
        drift=drift,
    )
