"""A thread that is paused takes nothing, however soon after its release it is paused again."""

import threading
from collections.abc import Iterator

import pytest

from node.dimse.reactor_checkpoint import ReactorCheckpoint

_TIMEOUT_S = 30.0


class Reactor(threading.Thread):
    """Takes messages between its pauses, as the thread of an association does."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.checkpoint = ReactorCheckpoint(self.is_alive)
        self.messages: list[int] = []
        self.taken: list[int] = []
        self.has_taken = threading.Event()
        self.has_ended = False

    def run(self) -> None:
        while not self.has_ended:
            self.checkpoint.wait()
            while self.messages:
                self.taken.append(self.messages.pop())
                self.has_taken.set()


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor()
    made.start()
    yield made
    made.has_ended = True
    made.checkpoint.set()
    made.join(_TIMEOUT_S)


def test_a_thread_that_is_paused_right_after_its_release_takes_no_message(
    reactor: Reactor,
) -> None:
    for number in range(200):
        reactor.checkpoint.clear()
        reactor.messages.append(number)
        # The thread gets the time in which it would take the message.
        assert not reactor.has_taken.wait(0.001)
        assert reactor.messages.pop() == number
        reactor.checkpoint.set()


def test_a_thread_that_is_not_paused_takes_messages(reactor: Reactor) -> None:
    reactor.checkpoint.clear()
    reactor.messages.append(1)
    reactor.checkpoint.set()
    assert reactor.has_taken.wait(_TIMEOUT_S)
    assert reactor.taken == [1]


def test_a_pause_does_not_wait_for_a_thread_that_has_ended(reactor: Reactor) -> None:
    reactor.has_ended = True
    reactor.checkpoint.set()
    reactor.join(_TIMEOUT_S)
    reactor.checkpoint.clear()
    assert not reactor.checkpoint.is_set()
