"""All problems of the site, each with its remedy."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from node.configuration.site_configuration import running_processes
from node.domain.errors import Transient
from node.domain.monitoring.alert import AlertMessage
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency, by_urgency
from node.domain.texts.sentences import sentence_end
from node.health.audit import audit_problems
from node.health.certificates import certificate_problems, peer_certificate_problems
from node.health.configuration import configuration_problems, file_problems
from node.health.destinations import attention_policy, destination_problems
from node.health.incomplete_series import incomplete_series_problems
from node.health.parts import database_gone, full_text, node_problem, part_problems
from node.health.queues import queue_problems
from node.health.tokens import token_problems
from node.settings import Settings
from node.store import Store
from node.store.monitoring.activity import ParkedJob

_GIB = 1 << 30
# More parked jobs than this are one problem, so that a broken model causes no flood of messages.
MAX_PARKED_JOBS = 20
# A host that has been gone for longer was taken out of service.
_LOST_WORKER_TIME = timedelta(days=1)


def current_problems(
    settings: Settings, store: Store, now: datetime, *, drift: Sequence[Problem] = ()
) -> list[Problem]:
    """Returns the problems, the most urgent first; `drift` are those of the last comparison.

    A problem of the database hides those that only the database knows.
    """
    problems = part_problems(settings, store, now)
    if all(problem.kind is not ProblemKind.DATABASE for problem in problems):
        try:
            problems += site_problems(settings, store, now)
        except Transient as error:
            problems.append(database_gone(error))
    problems += [*file_problems(settings), *certificate_problems(settings, now), *drift]
    return sorted(problems, key=by_urgency)


def banner_text(settings: Settings, store: Store, now: datetime) -> str:
    """The most urgent problem of the node or a destination, and its remedy; empty without one.

    Raises:
        Transient: the database does not answer.
    """
    stopping = node_problem(settings, store, now)
    if stopping:
        return stopping
    health = store.destination_health().values()
    problems = destination_problems(health, attention_policy(settings), now)
    return full_text(problems[0]) if problems else ""


def site_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """Returns the problems that the database knows.

    Raises:
        Transient: the database does not answer.
    """
    parked = store.parked_jobs(MAX_PARKED_JOBS + 1)
    return [
        *destination_problems(store.destination_health().values(), attention_policy(settings), now),
        *queue_problems(settings, store, now),
        *_disk_problems(settings, store),
        *(_parked_problem(job) for job in parked[:MAX_PARKED_JOBS]),
        *_many_parked(len(parked)),
        *incomplete_series_problems(store, now),
        *_lost_worker_problems(store, now),
        *peer_certificate_problems(settings, store, now),
        *token_problems(settings, store, now),
        *audit_problems(settings, store, now),
        *_unsent_problems(store.failed_messages()),
        *configuration_problems(running_processes(store, now)),
    ]


def _disk_problems(settings: Settings, store: Store) -> list[Problem]:
    try:
        free = store.files.free_bytes()
    except Transient:
        return []  # the storage itself is a problem already
    # Below the smaller limit, the problem is that nothing is received.
    if free is None or not settings.min_free_bytes <= free < settings.low_disk_bytes:
        return []
    return [
        Problem(
            kind=ProblemKind.DISK_LOW,
            subject="",
            urgency=Urgency.WARNING,
            text=f"Only {free / _GIB:.1f} GiB are free in {settings.data_dir}.",
            remedy=(
                f"Free space there, or let [retention] delete old series. Below "
                f"{settings.least_free_gib:g} GiB the node receives nothing more."
            ),
        )
    ]


def _parked_problem(job: ParkedJob) -> Problem:
    remedy = (
        "Look at the result in the console, then release or discard it."
        if job.is_held
        else "Correct the cause, then retry or discard the job in the console."
    )
    verb = "is" if job.is_held else "has stopped:"
    return Problem(
        kind=ProblemKind.JOB_PARKED,
        subject=job.job_id,
        urgency=Urgency.WARNING,
        text=sentence_end(f"Job {job.job_id[:8]} {verb} {job.reason}"),
        remedy=remedy,
        since=job.parked_at,
        link=f"/series/{job.series_instance_uid}#job-{job.job_id}",
    )


def _many_parked(count: int) -> list[Problem]:
    if count <= MAX_PARKED_JOBS:
        return []
    return [
        Problem(
            kind=ProblemKind.JOB_PARKED,
            subject="",
            urgency=Urgency.WARNING,
            text=f"More than {MAX_PARKED_JOBS} jobs have stopped.",
            remedy="They probably have one cause: correct it, then retry them.",
            link="/?show=attention",
        )
    ]


def _lost_worker_problems(store: Store, now: datetime) -> list[Problem]:
    return [
        Problem(
            kind=ProblemKind.WORKER_MISSING,
            subject=lost.slot,
            urgency=Urgency.WARNING,
            text=f"The worker {lost.slot} is missing; the other workers do its work.",
            remedy=(
                "Start it again. If its host was taken out of service, this message ends "
                "after a day."
            ),
            since=lost.lost_at,
        )
        for lost in store.lost_workers(now - _LOST_WORKER_TIME)
    ]


def _unsent_problems(failed: Sequence[AlertMessage]) -> list[Problem]:
    by_channel = {message.channel: message for message in reversed(failed)}
    return [
        Problem(
            kind=ProblemKind.ALERT_NOT_SENT,
            subject=channel,
            urgency=Urgency.WARNING,
            text=sentence_end(f"Alerts by {channel} are not sent: {message.last_error}"),
            remedy="Correct [alerts] in the configuration, and test it: segnode alerts test.",
        )
        for channel, message in sorted(by_channel.items())
    ]
