"""The texts of messages for people and for programs."""

from datetime import timedelta

from node.alerts.message import content_of
from node.domain.monitoring.alert import Alert, AlertChannel, AlertMessage, AlertPhase
from node.domain.monitoring.problem import ProblemKind, Urgency
from tests.support.factories import NOON


def message(phase: AlertPhase, text: str = "The PACS is down.") -> AlertMessage:
    ended = None if phase is AlertPhase.STARTED else NOON + timedelta(minutes=5)
    alert = Alert(
        7, ProblemKind.DESTINATION_FAILING, "pacs", Urgency.WARNING, text, "Start it.", NOON, ended
    )
    return AlertMessage(1, alert, phase, AlertChannel.MAIL, 0, "")


def test_the_json_has_the_documented_fields() -> None:
    assert content_of(message(AlertPhase.STARTED), "SITE").as_json() == {
        "version": 1,
        "id": "SITE/7/started",
        "event": "started",
        "site": "SITE",
        "kind": "destination-failing",
        "subject": "pacs",
        "urgency": "warning",
        "text": "The PACS is down.",
        "remedy": "Start it.",
        "started_at": "2026-01-02T12:00:00Z",
        "ended_at": None,
    }


def test_a_mail_about_the_start_has_the_remedy_and_one_about_the_end_the_times() -> None:
    start = content_of(message(AlertPhase.STARTED), "SITE")
    assert start.title == "[SITE] The PACS is down."
    assert "Start it." in start.body
    end = content_of(message(AlertPhase.ENDED), "SITE")
    assert end.title == "[SITE] Solved: The PACS is down."
    assert "Start it." not in end.body
    assert "Ended: 2026-01-02T12:05:00Z" in end.body


def test_a_start_that_is_sent_after_the_end_says_nothing_about_the_end() -> None:
    late = message(AlertPhase.STARTED)
    assert content_of(late, "SITE").ended_at is None


def test_the_title_is_one_short_line() -> None:
    title = content_of(message(AlertPhase.STARTED, "many\nwords " * 50), "SITE").title
    assert "\n" not in title
    assert len(title) == 150
