"""A sender who causes any number of log lines fills no disk and hides nothing of others."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import structlog
from structlog.testing import LogCapture

from node.log_limit import (
    MAX_LINES_OF_EVENT,
    MAX_LINES_OF_SENDER,
    PERIOD_SECONDS,
    LogLimit,
)


@dataclass
class Log:
    """A limited log on a clock of its own."""

    now: float = 1000.0
    capture: LogCapture = field(default_factory=LogCapture)

    def __post_init__(self) -> None:
        self.limit = LogLimit(lambda: self.now)
        structlog.configure(processors=[self.limit, self.capture])
        self.logger = structlog.get_logger()

    def counts(self) -> Counter[str]:
        """The number of written lines of each event."""
        return Counter(str(line["event"]) for line in self.capture.entries)


@pytest.fixture
def log() -> Iterator[Log]:
    before = structlog.get_config()
    yield Log()
    structlog.configure(**before)


def test_a_million_refused_instances_are_few_lines_that_say_how_many(log: Log) -> None:
    for number in range(100_000):  # one in a millisecond, faster than the listener answers
        log.now += 0.001
        log.logger.warning("instance.refused", calling_ae="CT1", error=str(number))
    log.now += PERIOD_SECONDS
    log.logger.info("series.complete")
    counts = log.counts()
    assert counts["instance.refused"] == 2 * MAX_LINES_OF_SENDER, "in two periods"
    assert counts["log.limited"] == 2
    left_out = [line for line in log.capture.entries if line["event"] == "log.lines_left_out"]
    assert {line["of"] for line in left_out} == {"instance.refused"}
    assert sum(line["lines"] for line in left_out) == 100_000 - counts["instance.refused"]


def test_one_sender_hides_no_line_of_another_and_no_other_event(log: Log) -> None:
    for _ in range(2 * MAX_LINES_OF_SENDER):
        log.logger.warning("association.not_admitted", address="10.0.0.1")
    log.logger.warning("association.not_admitted", address="10.0.0.2")
    log.logger.warning("instance.refused", address="10.0.0.1")
    counts = log.counts()
    assert counts["association.not_admitted"] == MAX_LINES_OF_SENDER + 1
    assert counts["instance.refused"] == 1


def test_any_number_of_invented_senders_have_a_limit_together(log: Log) -> None:
    for number in range(10 * MAX_LINES_OF_EVENT):
        log.logger.info("association.accepted", calling_ae=f"AE{number}")
    assert log.counts()["association.accepted"] == MAX_LINES_OF_EVENT


def test_after_a_period_lines_are_written_again(log: Log) -> None:
    for _ in range(MAX_LINES_OF_SENDER + 1):
        log.logger.warning("web.connection_refused", client="10.0.0.1")
    log.now += PERIOD_SECONDS
    log.logger.warning("web.connection_refused", client="10.0.0.1")
    events = [str(line["event"]) for line in log.capture.entries]
    assert events[-3:] == ["log.limited", "log.lines_left_out", "web.connection_refused"]


def test_the_level_debug_is_complete(log: Log) -> None:
    for _ in range(2 * MAX_LINES_OF_EVENT):
        log.logger.debug("job.stage")
    assert log.counts()["job.stage"] == 2 * MAX_LINES_OF_EVENT


def test_lines_of_libraries_have_the_limit_of_their_logger(log: Log) -> None:
    record = logging.LogRecord("uvicorn.error", logging.WARNING, "", 1, "Invalid", None, None)
    written = sum(log.limit.filter(record) for _ in range(10 * MAX_LINES_OF_EVENT))
    assert written == MAX_LINES_OF_SENDER
    assert log.counts()["log.limited"] == 1


def test_one_of_several_processes_has_its_part_of_the_lines(log: Log) -> None:
    log.limit.divide(4)
    for _ in range(MAX_LINES_OF_SENDER):
        log.logger.warning("refused", calling_ae="CT1")
    assert log.counts()["refused"] == MAX_LINES_OF_SENDER // 4
