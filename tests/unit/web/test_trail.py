"""The history of a series: failed attempts that follow each other are one entry."""

from node.store import HistoryEvent
from node.web.console.trail import folded
from tests.support.factories import NOON


def entries(*events: str) -> list[list[str]]:
    history = [HistoryEvent(NOON, "1.2", event, "") for event in events]
    return [[one.event for one in entry.events] for entry in folded(history)]


def test_three_attempts_are_one_entry_and_two_are_two() -> None:
    failed, rerun = "delivery.failed", "job.rerun"
    assert entries(failed, failed) == [[failed], [failed]]
    assert entries(failed, failed, failed) == [[failed] * 3]
    assert entries(failed, failed, rerun, failed) == [[failed], [failed], [rerun], [failed]]


def test_other_events_stay_between_the_attempts_before_and_after_them() -> None:
    failed, delivered = "delivery.failed", "delivery.delivered"
    attempts = ["job.failed", "job.failed", failed]
    assert entries("job.queued", *attempts, delivered, *[failed] * 4, delivered) == [
        ["job.queued"],
        attempts,
        [delivered],
        [failed] * 4,
        [delivered],
    ]
    assert entries() == []
