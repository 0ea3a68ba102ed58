"""Whatever somebody changes in the audit trail besides retention is found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select, update

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditOutcome,
    AuditRecord,
)
from node.store import Store
from node.store.audit_trail.chain import CHAIN_START
from node.store.audit_trail.tables import AUDIT_CHAINS, AUDIT_RECORDS
from tests.support.audit_records import audit_records
from tests.support.factories import NOON, sqlite_url

_R, _C = AUDIT_RECORDS.c, AUDIT_CHAINS.c
DAY = timedelta(days=1)
# Days on which records are appended; None is a run of retention that keeps three days.
HISTORIES = st.lists(st.one_of(st.integers(1, 4), st.none()), min_size=1, max_size=12)
Tampering = Callable[[Connection, int], None]


def history(store: Store, steps: list[int | None]) -> None:
    """Appends so many records on each day."""
    for day, count in enumerate(steps):
        now = NOON + day * DAY
        if count is None:
            for chain in store.audit_chains():
                removed = store.remove_audit_records(chain, now - 3 * DAY, now)
                assert removed.fault is None
            continue
        for number in range(count):
            actor = AuditActor("ada", AuditInterface.CLI)
            action, outcome = AuditAction.EXPORTED, AuditOutcome.SUCCESS
            store.record(AuditRecord(now, action, outcome, actor, (), f"{day}.{number}"))


@given(HISTORIES)
@settings(max_examples=40, deadline=None)
def test_retention_removes_old_records_and_leaves_a_trail_without_a_fault(
    steps: list[int | None],
) -> None:
    with TemporaryDirectory() as folder:
        store = Store.open(sqlite_url(Path(folder)), Path(folder))
        history(store, [*steps, 1])
        today = len(steps)
        for chain in store.audit_chains():
            store.remove_audit_records(chain, NOON + (today - 3) * DAY, NOON + today * DAY)
        assert store.audit_chain_faults() == ()
        written = [
            f"{day}.{number}"
            for day, count in enumerate([*steps, 1])
            for number in range(count or 0)
            if day >= today - 3
        ]
        exported = [e.detail for e in reversed(audit_records(store)) if e.action == "exported"]
        assert exported == written
        store.close()


def change_record(connection: Connection, sequence: int) -> None:
    at = _R.sequence == sequence
    connection.execute(update(AUDIT_RECORDS).where(at).values(detail="changed"))


def delete_record(connection: Connection, sequence: int) -> None:
    connection.execute(delete(AUDIT_RECORDS).where(_R.sequence == sequence))


def delete_beginning(connection: Connection, sequence: int) -> None:
    connection.execute(delete(AUDIT_RECORDS).where(_R.sequence <= sequence))


def delete_beginning_and_state_it_as_removed(connection: Connection, sequence: int) -> None:
    query = select(_R.hash).where(_R.sequence == sequence)
    values = {
        "removed_sequence": sequence,
        "removed_hash": connection.execute(query).scalar_one(),
    }
    delete_beginning(connection, sequence)
    connection.execute(update(AUDIT_CHAINS).values(values))


def forget_removal(connection: Connection, _sequence: int) -> None:
    values = {"removed_sequence": CHAIN_START.sequence, "removed_hash": CHAIN_START.hash}
    connection.execute(update(AUDIT_CHAINS).values(values))


def delete_the_end(connection: Connection, sequence: int) -> None:
    connection.execute(delete(AUDIT_RECORDS).where(_R.sequence >= sequence))


TAMPERING: list[Tampering] = [
    change_record,
    delete_record,
    delete_beginning,
    delete_beginning_and_state_it_as_removed,
    forget_removal,
    delete_the_end,
]


@given(HISTORIES, st.sampled_from(TAMPERING), st.integers(0, 1000))
@settings(max_examples=100, deadline=None)
def test_what_somebody_changes_besides_retention_is_found(
    steps: list[int | None], tamper: Tampering, where: int
) -> None:
    with TemporaryDirectory() as folder:
        store = Store.open(sqlite_url(Path(folder)), Path(folder))
        history(store, [*steps, 1])
        (head,) = store.audit_chain_heads()
        sequences = range(head.removed.sequence + 1, head.last.sequence + 1)
        with store._database.writing() as connection:
            tamper(connection, sequences[where % len(sequences)])
        (now,) = store.audit_chain_heads()
        is_changed = tamper is not forget_removal or now != head
        assert bool(store.audit_chain_faults()) == is_changed
        # Retention does not remove the record with the fault.
        faults = store.audit_chain_faults()
        store.remove_audit_records(head.chain, NOON + 100 * DAY, NOON)
        assert [replace(each, fault="") for each in store.audit_chain_faults()] == [
            replace(each, fault="") for each in faults
        ]
        store.close()
