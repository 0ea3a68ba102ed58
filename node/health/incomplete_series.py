"""Problems of series that wait for images which were refused, or could not be retrieved."""

from datetime import datetime, timedelta

from node.domain.incomplete_series import IncompleteSeries
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.store import Store

# More such series than this are one problem: a full disk concerns each of them.
MAX_SERIES = 20
# Most senders try again within this time.
_PATIENCE = timedelta(minutes=5)


def incomplete_series_problems(store: Store, now: datetime) -> list[Problem]:
    """Returns a problem for each series that is likely to stay incomplete, the oldest first.

    Raises:
        Transient: the database does not answer.
    """
    lasting = [
        each
        for each in store.incomplete_series().values()
        if each.is_over and now - each.since >= _PATIENCE
    ]
    lasting.sort(key=lambda each: each.since)
    many = [_many()] if len(lasting) > MAX_SERIES else []
    return [*(_problem(each) for each in lasting[:MAX_SERIES]), *many]


def _problem(series: IncompleteSeries) -> Problem:
    return Problem(
        kind=ProblemKind.SERIES_INCOMPLETE,
        subject=series.series_instance_uid,
        urgency=Urgency.WARNING,
        text=f"A series is incomplete. {series.text}",
        remedy=series.remedy,
        since=series.since,
        link=f"/series/{series.series_instance_uid}",
    )


def _many() -> Problem:
    return Problem(
        kind=ProblemKind.SERIES_INCOMPLETE,
        subject="",
        urgency=Urgency.WARNING,
        text=f"More than {MAX_SERIES} series are incomplete.",
        remedy="They probably have one cause: correct it, then send them again.",
        link="/?show=working",
    )
