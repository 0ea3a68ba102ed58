"""The periodic task of each process that states the lost records of its host."""

from functools import partial

from node.audit.losses import AuditLosses
from node.processes.entry_point import utc_now
from node.runtime.timers import Timers
from node.store import Store

_REPORT_SECONDS = 10.0


def add_loss_report(timers: Timers, store: Store, losses: AuditLosses) -> None:
    """Adds the task; its first run states what an earlier run of the process has lost."""
    report = partial(losses.report, store.record_soon, utc_now)
    timers.add_with_first_run("lost audit records", _REPORT_SECONDS, report, first_after_s=0.0)
