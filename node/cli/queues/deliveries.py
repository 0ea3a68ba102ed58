"""`segnode jobs retry`, `redirect` and `discard`: acts on jobs, or on their deliveries."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import record_job_work, record_work
from node.cli.jobs import find_job, open_store
from node.cli.options import ConfigOption, operating_system_user, stated_reason
from node.domain.audit.records import AuditObject, AuditObjectType
from node.domain.delivery import CHANGEABLE, DeliveryState
from node.domain.errors import Rejected, RejectionReason
from node.domain.job import Job, JobState
from node.domain.queues.discarding import Discarding
from node.domain.queues.selection import (
    DeliveryChange,
    DeliverySelection,
    Interface,
    changes_text,
)

if TYPE_CHECKING:
    from node.delivery.queue_control import QueueControl


class OpenState(StrEnum):
    """States of a delivery on which a person can act."""

    WAITING = "waiting"
    PARKED = "parked"


JobsArgument = Annotated[
    list[str] | None, typer.Argument(help="Ids of jobs, or their first characters.")
]
DestinationOption = Annotated[
    str, typer.Option(help="Only deliveries to this destination, instead of the whole job.")
]
StateOption = Annotated[
    OpenState | None, typer.Option(help="Only deliveries that wait, or that were given up.")
]
AllOption = Annotated[
    bool, typer.Option("--all", help="The deliveries of all jobs, to --destination.")
]


@dataclass(frozen=True)
class Choice:
    """The deliveries that the arguments of a command choose."""

    jobs: Sequence[str]
    destination: str
    state: OpenState | None
    all_jobs: bool

    def __post_init__(self) -> None:
        if bool(self.jobs) == self.all_jobs:
            raise typer.BadParameter("name jobs, or use --all with --destination")
        if self.all_jobs and not self.destination:
            raise typer.BadParameter("--all needs --destination")

    @property
    def is_about_jobs(self) -> bool:
        """Whether it names jobs as a whole."""
        return bool(self.jobs) and not self.destination and self.state is None

    def selection(self, job_ids: Sequence[str]) -> DeliverySelection:
        """The chosen deliveries; `job_ids` are the complete ids of the jobs."""
        states = CHANGEABLE if self.state is None else frozenset({DeliveryState(self.state)})
        return DeliverySelection(self.destination, states, tuple(job_ids))


def retry(
    jobs: JobsArgument = None,
    config: ConfigOption = None,
    destination: DestinationOption = "",
    state: StateOption = None,
    all_jobs: AllOption = False,
) -> None:
    """Retry parked jobs, or deliver now what waits for a destination or was given up.

    Example: segnode jobs retry --destination pacs --state waiting --all
    """
    choice = Choice(jobs or (), destination, state, all_jobs)
    with control_of(config) as control:
        found = [find_job(control.store, prefix) for prefix in choice.jobs]
        whole: list[Job] = []
        if choice.is_about_jobs:  # a job that delivers is not retried itself, but its deliveries
            whole = [job for job in found if job.state is not JobState.DELIVERING]
        for job in whole:
            _require_parked(job, "retried")
        for job in whole:
            control.store.retry_job(job.job_id, control.now)
            record_job_work(control.store, job.job_id, "segnode jobs retry")
            typer.echo(f"Job {job.job_id[:8]} is queued again.")
        others = [job.job_id for job in found if job not in whole]
        if others or choice.all_jobs:
            changes = control.retry(choice.selection(others))
            _record(control, changes, "segnode jobs retry")
            _warn_of_pauses(control, changes)
            _report(changes, "due now")


def redirect(
    jobs: JobsArgument = None,
    config: ConfigOption = None,
    to: Annotated[str, typer.Option("--to", help="The destination that gets them instead.")] = "",
    destination: DestinationOption = "",
    state: StateOption = None,
    all_jobs: AllOption = False,
) -> None:
    """Send what waits for a destination, or was given up, to another destination.

    Example: segnode jobs redirect 3f1c9a02 --destination pacs --to archive
    """
    if not to or not destination:
        raise typer.BadParameter("redirect needs --destination and --to")
    choice = Choice(jobs or (), destination, state, all_jobs)
    with control_of(config) as control:
        found = [find_job(control.store, prefix).job_id for prefix in choice.jobs]
        changes = control.redirect(choice.selection(found), to)
        _record(control, changes, f"segnode jobs redirect --to {to}")
        _report(changes, f"redirected to {to}")


def discard(
    reason: Annotated[str, typer.Option(help="Why; the history keeps it.", callback=stated_reason)],
    jobs: JobsArgument = None,
    config: ConfigOption = None,
    destination: DestinationOption = "",
    state: StateOption = None,
    all_jobs: AllOption = False,
) -> None:
    """Discard parked jobs, or deliveries that wait or were given up; results are kept.

    Example: segnode jobs discard 3f1c9a02 --destination pacs --reason "sent by hand"
    """
    choice = Choice(jobs or (), destination, state, all_jobs)
    with control_of(config) as control:
        found = [find_job(control.store, prefix) for prefix in choice.jobs]
        if not choice.is_about_jobs:
            selection = choice.selection([job.job_id for job in found])
            changes = control.discard(selection, reason)
            _record(control, changes, "segnode jobs discard")
            _report(changes, "discarded")
            return
        discarding = Discarding.of(reason, operating_system_user())
        for job in found:
            _require_parked(job, "discarded")
        for job in found:
            control.store.discard_job(job.job_id, discarding, control.now)
            record_job_work(control.store, job.job_id, "segnode jobs discard")
            typer.echo(f"Job {job.job_id[:8]} is discarded.")


@contextmanager
def control_of(config: ConfigOption) -> "Iterator[QueueControl]":
    """Opens the queues of the site; a request that they cannot fulfil ends the command."""
    from node.configuration.active import active_settings
    from node.delivery.queue_control import ImpossibleRequest, QueueControl

    with open_store(config) as store:
        settings = active_settings(config)
        try:
            user = f"{operating_system_user()} ({Interface.CLI})"
            yield QueueControl(settings, store, Interface.CLI, user, datetime.now(UTC))
        except ImpossibleRequest as error:
            raise Rejected(RejectionReason.INVALID_INSTANCE, str(error)) from error


def _require_parked(job: Job, action: str) -> None:
    """Refuses a job that is not parked; `action` is the past participle for the message."""
    if job.state is not JobState.PARKED:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"job {job.job_id[:8]} is {job.state}; only a parked job can be {action}",
        )


def _record(control: "QueueControl", changes: Sequence[DeliveryChange], command: str) -> None:
    """Records, for each job, the deliveries that changed."""
    changed: dict[str, list[AuditObject]] = {}
    for name in (change.name for change in changes if not change.refusal):
        job = [AuditObject(AuditObjectType.JOB, name.job_id)]
        delivery = AuditObject(AuditObjectType.DELIVERY, name.key)
        changed.setdefault(name.job_id, job).append(delivery)
    for objects in changed.values():
        record_work(control.store, objects, command)


def _report(changes: Sequence[DeliveryChange], done: str) -> None:
    """Prints what became of the deliveries; the exit status is 1 if some did not change."""
    typer.echo(changes_text(changes, done))
    if any(change.refusal for change in changes):
        raise typer.Exit(1)


def _warn_of_pauses(control: "QueueControl", changes: Sequence[DeliveryChange]) -> None:
    """Says which of the destinations get nothing before they are resumed."""
    paused = {queue.destination for queue in control.store.pauses()}
    for name in sorted(paused & {change.name.destination for change in changes}):
        typer.echo(
            f"The destination {name} is paused: nothing is sent before "
            f"`segnode queue resume --destination {name}`."
        )
