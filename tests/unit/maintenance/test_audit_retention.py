"""Retention of the audit trail: whole days, once a day."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditOutcome,
    AuditRecord,
)
from node.maintenance.audit_retention import AuditRetention
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.factories import sqlite_url

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with a record on each of five days."""
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    for day in range(5):
        actor = AuditActor("ada", AuditInterface.CLI)
        action, outcome = AuditAction.EXPORTED, AuditOutcome.SUCCESS
        opened.record(AuditRecord(START + day * DAY, action, outcome, actor, (), f"day {day}"))
    yield opened
    opened.close()


def details(store: Store) -> list[str]:
    return [each.detail for each in reversed(audit_records(store)) if each.actor == "ada"]


def test_whole_days_are_removed_once_a_day_with_one_record(store: Store) -> None:
    now = START + 4 * DAY
    retention = AuditRetention(store, 2 * DAY, lambda: now)
    retention.poll()
    retention.poll()
    assert details(store) == ["day 2", "day 3", "day 4"]
    newest = audit_records(store)[0]
    assert (newest.action, newest.actor) == ("audit records removed", "segnode")
    assert newest.objects == (("audit trail", socket.gethostname()),)
    assert newest.detail.startswith("records up to 2, hash ")
    now += timedelta(hours=1)  # it is the next day
    retention.poll()
    assert details(store) == ["day 3", "day 4"]
    assert store.audit_chain_faults() == ()


def test_without_the_setting_nothing_is_removed(store: Store) -> None:
    AuditRetention(store, None, lambda: START + 1000 * DAY).poll()
    assert len(details(store)) == 5


def test_the_chain_of_a_host_that_is_gone_ends_with_the_removal(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = socket.gethostname()
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    AuditRetention(store, DAY, lambda: START + 100 * DAY).poll()
    (record,) = audit_records(store)
    assert (record.chain, record.sequence) == (old, 6)
    assert store.audit_chain_faults() == ()


def test_retention_stops_at_a_record_that_was_changed_and_logs_it(store: Store) -> None:
    with store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE audit_records SET actor = 'bob' WHERE sequence = 3")
    with capture_logs() as logs:
        AuditRetention(store, DAY, lambda: START + 100 * DAY).poll()
    assert [each.sequence for each in audit_records(store)] == [6, 5, 4, 3]
    (fault,) = store.audit_chain_faults()
    assert (fault.sequence, fault.fault) == (3, "was changed")
    (error,) = [each for each in logs if each["event"] == "audit.fault"]
    assert (error["record"], error["fault"]) == (3, "was changed")
