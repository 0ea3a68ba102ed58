"""Waiting times after failed logins."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from node.access.lock_out import (
    FREE_FAILURES_OF_ACCOUNT,
    FREE_FAILURES_OF_ADDRESS,
    MAX_WAIT,
    LockOut,
)
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError
from node.domain.audit.records import AuditAction
from node.store import Store
from node.store.audit_trail.chain import ChainedRecord
from tests.support.audit_records import audit_records, lost_records
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


def test_a_lock_out_is_recorded_once_for_each_period_and_address(
    lock_out: LockOut,
) -> None:
    lock_out.store.add_user("ada", Role.ADMINISTRATOR, START)
    elsewhere = replace(FACTS, client_address="192.0.2.9")
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        lock_out.begin("ada", FACTS)
    for facts in (FACTS, FACTS, elsewhere):
        with pytest.raises(AccountError):
            lock_out.begin("ada", facts)
    recorded = [(one.actor, one.address) for one in locked_out(lock_out)]
    assert recorded == [("ada", FACTS.client_address), ("ada", elsewhere.client_address)]
    later = replace(FACTS, now=START + timedelta(seconds=2))
    lock_out.begin("ada", later)
    with pytest.raises(AccountError):
        lock_out.begin("ada", later)
    assert len(locked_out(lock_out)) == len(recorded) + 1


def test_the_record_of_a_lock_out_has_no_name_that_no_user_has(lock_out: LockOut) -> None:
    for number in range(FREE_FAILURES_OF_ADDRESS):
        lock_out.begin(f"name{number}", FACTS)
    for name in ("a-password", "another"):
        with pytest.raises(AccountError):
            lock_out.begin(name, FACTS)
    (record,) = locked_out(lock_out)
    assert (record.actor, record.objects) == ("", ())


def test_an_attempt_is_refused_also_without_its_record_which_is_counted(lock_out: LockOut) -> None:
    with lock_out.store._database.writing() as connection:
        connection.execute(text("DROP TABLE audit_records"))
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        lock_out.begin("jdoe", FACTS)
    with pytest.raises(AccountError, match="try again in 2 s"):
        lock_out.begin("jdoe", FACTS)
    assert lost_records(lock_out.store) == 1


def locked_out(lock_out: LockOut) -> list[ChainedRecord]:
    """The records of lock-outs, oldest first."""
    records = reversed(audit_records(lock_out.store))
    return [one for one in records if one.action == AuditAction.LOCKED_OUT]


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
