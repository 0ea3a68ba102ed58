"""A problem that lasts is one alert, with one message at its start and one at its end."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.alerts.alerting import Alerting
from node.alerts.message import MessageContent
from node.alerts.sending import AlertSender
from node.domain.errors import Transient
from node.domain.monitoring.alert import AlertChannel, AlertPhase
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.store import Store
from tests.support.factories import NOON, sqlite_url

FAILING = Problem(
    ProblemKind.DESTINATION_FAILING, "pacs", Urgency.WARNING, "The PACS is down.", "Start it."
)
HUNG = Problem(ProblemKind.WORKER_MISSING, "", Urgency.CRITICAL, "The worker hangs.", "Restart.")
DATABASE = Problem(ProblemKind.DATABASE, "", Urgency.CRITICAL, "No database.", "Start it.")
DRIFT = Problem(ProblemKind.RESULTS_DRIFTING, "liver", Urgency.NOTICE, "Smaller.", "Look.")


@dataclass
class Inbox:
    """A channel that keeps the messages, and fails while there are `failures`."""

    failures: list[str] = field(default_factory=list)
    contents: list[MessageContent] = field(default_factory=list)

    def send(self, content: MessageContent) -> None:
        if self.failures:
            raise Transient(self.failures.pop(0))
        self.contents.append(content)

    @property
    def phases(self) -> list[tuple[AlertPhase, str]]:
        return [(content.phase, content.subject) for content in self.contents]


@dataclass
class Process:
    """The alerting of one process over the site's store."""

    store: Store
    channels: dict[AlertChannel, Inbox]
    now: datetime = NOON
    problems: list[Problem] = field(default_factory=list)
    unknown: set[ProblemKind] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.alerting = Alerting(
            self.store,
            lambda _now: (self.problems, self.unknown),
            tuple(self.channels),
            lambda: self.now,
        )
        self.sender = AlertSender(self.store, self.channels, "SITE", lambda: self.now, lambda: 0.0)

    def poll(self, seconds: float = 0.0) -> None:
        """Polls after so many seconds."""
        self.now += timedelta(seconds=seconds)
        self.alerting.poll()
        self.sender.poll()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def process(store: Store, inbox: Inbox) -> Process:
    return Process(store, {AlertChannel.WEBHOOK: inbox})


def test_a_problem_gives_one_message_at_its_start_and_one_at_its_end(
    process: Process, inbox: Inbox
) -> None:
    process.problems = [FAILING]
    for _ in range(5):
        process.poll(5)
    process.problems = []
    for _ in range(5):
        process.poll(5)
    assert inbox.phases == [(AlertPhase.STARTED, "pacs"), (AlertPhase.ENDED, "pacs")]
    first, last = inbox.contents
    assert (last.started_at, last.ended_at) == (first.started_at, NOON + timedelta(seconds=30))


def test_a_problem_that_returns_is_a_new_alert(process: Process, inbox: Inbox) -> None:
    for problems in ([FAILING], [], [FAILING]):
        process.problems = list(problems)
        process.poll(5)
    assert [phase for phase, _ in inbox.phases] == ["started", "ended", "started"]
    assert inbox.contents[0].message_id != inbox.contents[2].message_id


def test_a_restarted_process_neither_repeats_nor_loses_a_message(
    process: Process, store: Store, inbox: Inbox
) -> None:
    process.problems = [FAILING]
    process.alerting.poll()  # it dies before it sends
    restarted = Process(store, {AlertChannel.WEBHOOK: inbox}, process.now, [FAILING])
    restarted.poll(5)
    again = Process(store, {AlertChannel.WEBHOOK: inbox}, restarted.now, [FAILING])
    again.poll(5)
    ended = Process(store, {AlertChannel.WEBHOOK: inbox}, again.now)
    ended.poll(5)
    assert inbox.phases == [(AlertPhase.STARTED, "pacs"), (AlertPhase.ENDED, "pacs")]


def test_two_hosts_send_one_message(store: Store, inbox: Inbox) -> None:
    hosts = [Process(store, {AlertChannel.WEBHOOK: inbox}, NOON, [FAILING]) for _ in range(2)]
    for _ in range(3):
        for host in hosts:
            host.poll(5)
    for host in hosts:
        host.problems = []
        host.poll(5)
    assert inbox.phases == [(AlertPhase.STARTED, "pacs"), (AlertPhase.ENDED, "pacs")]


def test_a_message_that_fails_is_retried_and_visible_until_it_is_sent(
    process: Process, store: Store, inbox: Inbox
) -> None:
    inbox.failures = ["the server is down", "the server is down"]
    process.problems = [FAILING]
    process.poll()
    (failed,) = store.failed_messages()
    assert (failed.attempts, failed.last_error) == (1, "the server is down")
    process.poll(1)
    assert store.failed_messages()[0].attempts == 1, "the next attempt is not due"
    process.poll(10)
    process.poll(20)
    assert store.failed_messages() == ()
    assert inbox.phases == [(AlertPhase.STARTED, "pacs")]


def test_the_end_is_sent_after_the_start_even_if_the_start_failed(
    process: Process, inbox: Inbox
) -> None:
    inbox.failures = ["the server is down"]
    process.problems = [FAILING]
    process.poll()
    process.problems = []
    process.poll(1)
    assert inbox.phases == []
    process.poll(10)
    assert [phase for phase, _ in inbox.phases] == ["started", "ended"]


def test_a_message_is_given_up_after_a_week(process: Process, store: Store, inbox: Inbox) -> None:
    inbox.failures = ["down"] * 1000
    process.problems = [FAILING]
    process.poll()
    process.poll(8 * 86400)
    assert store.failed_messages() == ()
    inbox.failures = []
    process.poll(8 * 86400)
    assert inbox.phases == []


def test_a_channel_that_fails_does_not_hold_up_the_other(store: Store) -> None:
    webhook, mail = Inbox(["down"] * 9), Inbox()
    process = Process(
        store, {AlertChannel.WEBHOOK: webhook, AlertChannel.MAIL: mail}, NOON, [FAILING]
    )
    process.poll()
    assert (webhook.phases, mail.phases) == ([], [(AlertPhase.STARTED, "pacs")])


def test_a_worker_that_restarts_soon_gives_no_message(process: Process, inbox: Inbox) -> None:
    process.problems = [HUNG]
    process.poll()
    process.poll(10)
    process.problems = []
    process.poll(5)
    assert inbox.phases == []
    process.problems = [HUNG]
    for _ in range(4):
        process.poll(5)
    assert inbox.phases == [(AlertPhase.STARTED, "")]


def test_an_alert_stays_open_while_nobody_knows_its_problem(
    process: Process, store: Store, inbox: Inbox
) -> None:
    process.problems = [DRIFT]
    process.poll()
    process.problems, process.unknown = [], {ProblemKind.RESULTS_DRIFTING}
    process.poll(5)
    assert len(store.open_alerts()) == 1
    process.problems = [DATABASE]
    process.unknown = set()
    process.poll(5)
    assert len(store.open_alerts()) == 1, "a broken database ends nothing"
    process.problems = []
    process.poll(5)
    assert [phase for phase, _ in inbox.phases] == ["started", "ended"]


def test_without_channels_alerts_are_recorded(store: Store) -> None:
    process = Process(store, {}, NOON, [FAILING])
    process.poll()
    assert [alert.subject for alert in store.latest_alerts(5)] == ["pacs"]
    with_channel = Process(store, {AlertChannel.MAIL: (mail := Inbox())}, process.now)
    with_channel.poll(5)
    assert mail.phases == [], "nobody knows that it began"


def test_an_old_alert_is_deleted_and_an_open_one_kept(process: Process, store: Store) -> None:
    process.problems = [FAILING, DRIFT]
    process.poll()
    process.problems = [DRIFT]
    process.poll(5)
    process.now += timedelta(days=91)
    process.alerting.remove_old()
    assert [alert.subject for alert in store.latest_alerts(5)] == ["liver"]
