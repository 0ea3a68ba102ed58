"""Waiting times after failed logins."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.access.lock_out import FREE_FAILURES_OF_ACCOUNT, MAX_WAIT, LockOut
from node.domain.access.users import AccountError
from node.store import Store
from tests.support.factories import sqlite_url
from tests.support.servers.sessions import FACTS

START = FACTS.now


@pytest.fixture
def lock_out(tmp_path: Path) -> Iterator[LockOut]:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    yield LockOut(store)
    store.close()


def wait_after(lock_out: LockOut, account: str, failures: int) -> timedelta:
    """Lets an account fail so often, each time as soon as it may; returns the next waiting time."""
    now = START
    for _ in range(failures):
        while not may_try(lock_out, account, now):
            now += timedelta(seconds=1)
    started = now
    while not may_try(lock_out, account, now):
        now += timedelta(seconds=1)
    return now - started


def may_try(lock_out: LockOut, account: str, now: datetime) -> bool:
    try:
        lock_out.begin(account, replace(FACTS, now=now, client_address=account))
    except AccountError:
        return False
    return True


def test_the_waiting_time_doubles_up_to_its_maximum(lock_out: LockOut) -> None:
    free = FREE_FAILURES_OF_ACCOUNT
    waits = [
        wait_after(lock_out, f"user{count}", count).total_seconds()
        for count in (free - 1, free, free + 1, free + 2, free + 12)
    ]
    assert waits == [0, 2, 4, 8, MAX_WAIT.total_seconds()]


def test_a_success_ends_the_wait_of_the_account(lock_out: LockOut) -> None:
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        lock_out.begin("jdoe", FACTS)
    with pytest.raises(AccountError, match="try again in 2 s"):
        lock_out.begin(" JDoe", FACTS)
    lock_out.begin("other", FACTS)
    lock_out.succeeded("jdoe", FACTS)
    lock_out.begin("jdoe", FACTS)


def test_attempts_at_the_same_time_all_count(lock_out: LockOut) -> None:
    # Each one counts when it begins: none of these has ended yet.
    allowed = [may_try(lock_out, "jdoe", START) for _ in range(50)]
    assert sum(allowed) == FREE_FAILURES_OF_ACCOUNT


def test_a_day_without_a_failure_ends_the_wait(lock_out: LockOut) -> None:
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        lock_out.begin("jdoe", FACTS)
    later = replace(FACTS, now=START + timedelta(hours=24, seconds=1))
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        lock_out.begin("jdoe", later)
