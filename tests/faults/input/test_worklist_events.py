"""What the events of one worklist server may cost: too much waits or ends the connection."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from structlog.testing import capture_logs
from websockets.sync.server import ServerConnection, serve

from node.domain.retry_policy import RetryPolicy
from node.store import Store
from node.worklists.cancel_events import CancelEvents
from tests.support.factories import NOON, sqlite_url

pytestmark = pytest.mark.timeout(120)
POLICY = RetryPolicy(1.0, 1.0, timedelta(hours=1))
CANCEL_REQUESTED = json.dumps({"00001002": {"Value": [2]}, "00001000": {"Value": ["1.2.3"]}})


@contextmanager
def sending(messages: list[str]) -> Iterator[str]:
    """Serves WebSocket connections that get the messages and stay open; yields the address."""
    ended = Event()

    def send(connection: ServerConnection) -> None:
        for message in messages:
            connection.send(message)
        ended.wait()

    with serve(send, "127.0.0.1", 0) as server:
        Thread(target=server.serve_forever).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        ended.set()
        server.shutdown()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


def polled(events: CancelEvents, until: Callable[[], bool], count: Callable[[], int]) -> list[int]:
    """Polls until a condition holds; returns by how much the count rises in each poll."""
    rises = []
    while not until():
        before = count()
        events.poll()
        rises.append(count() - before)
    return rises


def test_events_above_the_limit_wait_for_the_next_poll(store: Store) -> None:
    handled: list[datetime] = []

    def now() -> datetime:
        handled.append(NOON)  # of each request to cancel
        return NOON

    with sending([CANCEL_REQUESTED] * 40) as url:
        events = CancelEvents("w", url, "NODE", store, now, POLICY, max_events_per_poll=4)
        in_one_poll = polled(events, until=lambda: len(handled) == 40, count=lambda: len(handled))
        events.close()
    assert max(in_one_poll) <= 4


def test_an_event_of_over_a_mebibyte_ends_the_connection(store: Store) -> None:
    with sending([f'"{"x" * (1 << 20)}"']) as url, capture_logs() as logs:
        events = CancelEvents("w", url, "NODE", store, lambda: NOON, POLICY)
        polled(events, until=lambda: bool(logs), count=lambda: 0)
        events.close()
    assert [entry["event"] for entry in logs] == ["worklist.events_failed"]
    assert "message too big" in logs[0]["error"]
