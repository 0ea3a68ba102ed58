"""Problems of queues: a job that waits too long for the model, and queues that are paused."""

from datetime import datetime, timedelta

from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.queues.pause import INFERENCE, Pause, QueueKind
from node.health.durations import duration_text
from node.settings import Settings
from node.store import Store


def queue_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """Returns the problems of the queues. While the inference is paused, jobs wait on purpose.

    Raises:
        Transient: the database does not answer.
    """
    pauses = store.pauses()
    too_old = [] if INFERENCE in pauses else _too_old(settings, store.oldest_queued_at(), now)
    return [*too_old, *(_paused(pause) for pause in pauses.values())]


def _too_old(settings: Settings, oldest_at: datetime | None, now: datetime) -> list[Problem]:
    max_age = timedelta(minutes=settings.monitoring.max_queue_minutes)
    if oldest_at is None or now - oldest_at < max_age:
        return []
    return [
        Problem(
            kind=ProblemKind.QUEUE_TOO_OLD,
            subject="",
            urgency=Urgency.WARNING,
            text=f"A job has waited for the model for more than {duration_text(max_age)}.",
            remedy=(
                "Check whether the worker makes progress. If more arrives than it can process, "
                "add a worker, use a GPU, or make the rules narrower."
            ),
            since=oldest_at,
        )
    ]


def _paused(pause: Pause) -> Problem:
    match pause.queue.kind:
        case QueueKind.INFERENCE:
            text = "The inference is paused: series are received, but no model runs."
        case QueueKind.DESTINATION:
            text = f"The destination {pause.queue.destination} is paused: nothing is sent to it."
    return Problem(
        kind=ProblemKind.QUEUE_PAUSED,
        subject=pause.queue.destination,
        urgency=Urgency.NOTICE,
        text=f"{text} Reason: {pause.reason}" if pause.reason else text,
        remedy="Resume it when the reason is gone; what waits then continues.",
        since=pause.paused_at,
        link="/queues",
    )
