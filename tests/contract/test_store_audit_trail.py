"""The audit trail and its hash chains, on SQLite and PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Delete, Update, delete, update

from node.domain.audit.lost_records import LostRecords
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.delivery import Receipt
from node.domain.identifiers import Uid
from node.domain.series import Deletion, SeriesState
from node.store import Store
from node.store.audit_trail.chain import NO_HASH
from node.store.audit_trail.tables import AUDIT_CHAINS, AUDIT_FORWARDING, AUDIT_RECORDS
from node.store.audit_trail.trail import append_record
from node.store.commitment.received import ReferencedInstance
from node.store.commitment.requested import RequestedCommitment
from node.store.database import Database, parse_url
from tests.support.audit_records import audit_records
from tests.support.factories import LATER, NOON, SERIES, add_instances, job_of

_R, _C = AUDIT_RECORDS.c, AUDIT_CHAINS.c


def a_record(detail: str = "", actor: str = "ada") -> AuditRecord:
    return AuditRecord(
        NOON.replace(microsecond=1200),
        AuditAction.EXPORTED,
        AuditOutcome.SUCCESS,
        AuditActor(actor, AuditInterface.CLI, "192.0.2.7"),
        (
            AuditObject(AuditObjectType.STUDY, "1.2.3"),
            AuditObject(AuditObjectType.SERIES, "1.2.3.4"),
        ),
        detail,
    )


def faults(store: Store) -> list[tuple[int, str]]:
    return [(each.sequence, each.fault) for each in store.audit_chain_faults()]


def test_a_new_trail_has_no_chain_and_no_fault(store: Store) -> None:
    assert (store.audit_chain_heads(), store.audit_chain_faults()) == ((), ())
    assert audit_records(store) == ()


def test_each_record_is_read_as_written_and_holds_the_hash_of_the_one_before(store: Store) -> None:
    store.record(a_record("first"))
    store.record(a_record("second"))
    second, first = audit_records(store)
    assert (first.sequence, first.detail, first.previous_hash) == (1, "first", NO_HASH)
    assert (second.sequence, second.detail, second.previous_hash) == (2, "second", first.hash)
    assert (first.happened_at, first.action) == (a_record().happened_at, "exported")
    assert (first.actor, first.interface, first.address) == ("ada", "cli", "192.0.2.7")
    assert first.objects == (("study", "1.2.3"), ("series", "1.2.3.4"))
    (head,) = store.audit_chain_heads()
    assert (head.chain, head.last.sequence, head.last.hash) == (first.chain, 2, second.hash)
    assert faults(store) == []
    assert audit_records(store)[:1] == (second,)


def test_texts_that_senders_choose_can_always_be_stored(store: Store) -> None:
    store.record(a_record("\x00 \udcff \N{GRINNING FACE}", actor="x" * 10_000))
    (record,) = audit_records(store)
    assert record.detail == "\\x00 \\udcff \N{GRINNING FACE}"
    assert len(record.actor) == 10_000
    assert faults(store) == []


def test_records_of_several_threads_and_processes_are_one_chain(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    other = Store.open(database_url, tmp_path)

    def append(number: int) -> None:
        (store, other)[number % 2].record(a_record(str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(40)))
    other.close()
    records = audit_records(store)
    assert [record.sequence for record in records] == list(range(40, 0, -1))
    assert {record.detail for record in records} == {str(number) for number in range(40)}
    assert faults(store) == []


def test_each_host_has_a_chain_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("ris2", "ris1", "ris2"):
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        store.record(a_record())
    assert [(head.chain, head.last.sequence) for head in store.audit_chain_heads()] == [
        ("ris1", 1),
        ("ris2", 2),
    ]
    assert faults(store) == []


@pytest.mark.parametrize(
    ("manipulation", "fault"),
    [
        (lambda: update(AUDIT_RECORDS).where(_R.sequence == 2).values(actor="bob"), "was changed"),
        (
            lambda: update(AUDIT_RECORDS).where(_R.sequence == 2).values(objects=[]),
            "was changed",
        ),
        (lambda: delete(AUDIT_RECORDS).where(_R.sequence == 2), "is missing"),
        (
            lambda: delete(AUDIT_RECORDS).where(_R.sequence > 1),
            "is missing, and so are all after it",
        ),
    ],
)
def test_what_somebody_changes_or_removes_in_the_database_is_named(
    store: Store, database_url: str, manipulation: Callable[[], Update | Delete], fault: str
) -> None:
    for detail in ("first", "second", "third"):
        store.record(a_record(detail))
    manipulate(database_url, manipulation())
    assert faults(store) == [(2, fault)]


def test_a_record_put_in_the_place_of_another_does_not_follow_the_one_before(
    store: Store, database_url: str
) -> None:
    for detail in ("first", "second", "third"):
        store.record(a_record(detail))
    second = audit_records(store)[1]
    forged = second.__class__(**{**vars(second), "previous_hash": NO_HASH}).hashed()
    manipulate(
        database_url,
        update(AUDIT_RECORDS)
        .where(_R.sequence == 2)
        .values(previous_hash=NO_HASH, hash=forged.hash),
    )
    assert faults(store) == [(2, "does not follow the record before it")]


def test_a_chain_whose_head_was_removed_has_a_fault(store: Store, database_url: str) -> None:
    store.record(a_record())
    manipulate(database_url, delete(AUDIT_CHAINS))
    assert faults(store) == [(1, "is not the last that the chain states")]


def test_a_complete_series_and_its_deletion_have_one_record_each(store: Store) -> None:
    add_instances(store, "1.2.3.1", "1.2.3.2")
    for _ in range(2):  # the second one after a person has requested the start
        assert store.record_decision(SERIES, "{}", SeriesState.IGNORED, NOON, seen_count=2)
    series = store.get_series(SERIES)
    assert series is not None
    ada = AuditActor("ada", AuditInterface.CLI)
    deletion = store.delete_series(SERIES, LATER, by=ada, reason="sent by mistake")
    assert deletion is Deletion.DELETED
    deleted, received = audit_records(store)
    assert (received.action, received.actor, received.interface) == ("received", "segnode", "node")
    assert received.objects == (
        ("study", series.study_instance_uid),
        ("series", SERIES),
    )
    assert received.detail == f"2 instances, first by {series.origin}"
    assert (deleted.action, deleted.actor, deleted.interface) == ("deleted", "ada", "cli")
    assert (deleted.objects, deleted.detail) == (
        (("series", SERIES),),
        "2 instances, by ada: sent by mistake",
    )


def test_a_delivery_is_recorded_when_it_arrives_or_is_given_up(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.add_deliveries(job.job_id, ["archive", "pacs"], NOON)
    store.record_failed_delivery(job.job_id, "pacs", NOON, error="busy", next_try_at=LATER)
    store.record_receipt(job.job_id, "pacs", Receipt("pacs", "0000"), LATER)
    store.record_receipt(
        job.job_id, "pacs", Receipt("pacs", "0000"), LATER
    )  # final: nothing changes
    store.park_delivery(job.job_id, "archive", LATER, error="refused")
    given_up, arrived = sorted(audit_records(store), key=lambda each: -each.sequence)
    assert (arrived.action, arrived.outcome, arrived.detail) == ("delivered", "success", "0000")
    assert arrived.objects == (("job", job.job_id), ("delivery", "pacs"))
    assert (given_up.outcome, given_up.detail) == ("serious failure", "refused")
    assert faults(store) == []


def test_storage_commitment_of_a_destination_is_recorded(store: Store) -> None:
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    store.add_job(job)
    store.add_deliveries(job.job_id, ["pacs"], NOON)
    store.await_commitment(
        RequestedCommitment(Uid("1.9"), job.job_id, "pacs", "PACS", NOON), "0000"
    )
    store.record_no_commitment(job.job_id, "pacs", LATER, error="no such object", next_try_at=LATER)
    store.record_commitment(job.job_id, "pacs", LATER)
    records = reversed(audit_records(store))
    assert [(each.action, each.outcome, each.detail) for each in records] == [
        ("delivered", "success", "0000"),
        ("committed", "serious failure", "no such object"),
        ("committed", "success", ""),
    ]


def test_a_commitment_that_a_sender_requests_is_recorded_with_its_result(store: Store) -> None:
    instances = [ReferencedInstance(Uid("1.2"), Uid("1.2.3.1"))]
    for transaction in ("1.7", "1.8"):
        store.request_commitment(Uid(transaction), "CT1", instances, NOON)
    first, second = store.due_commitments(LATER, timedelta(days=1))
    store.finish_commitment(first, LATER, "1 committed, 0 not")
    store.give_up_commitment(second, LATER, "CT1 does not answer")
    given_up, sent = audit_records(store)
    assert sent.objects == given_up.objects == (("connection", "CT1"),)
    assert (sent.outcome, sent.detail) == (
        "success",
        "asked for 1 instance: 1 committed, 0 not",
    )
    assert (given_up.outcome, given_up.detail) == (
        "serious failure",
        "asked for 1 instance: given up: CT1 does not answer",
    )
    assert store.due_commitments(LATER, timedelta(days=1)) == []


def test_everything_is_sent_again_if_somebody_states_records_as_sent_that_do_not_exist(
    store: Store, database_url: str
) -> None:
    for detail in ("first", "second"):
        store.record(a_record(detail))
    (head,) = store.audit_chain_heads()
    store.record_audit_sent(head.chain, 1)
    assert [each.detail for each in store.unsent_audit_records(head.chain, 9)] == ["second"]
    assert [each.count for each in store.waiting_audit_records()] == [1]
    manipulate(database_url, update(AUDIT_FORWARDING).values(sequence=100_000))
    unsent = store.unsent_audit_records(head.chain, 9)
    assert [each.detail for each in unsent] == ["first", "second"]
    assert [each.count for each in store.waiting_audit_records()] == [2]


def manipulate(database_url: str, statement: Update | Delete) -> None:
    database = Database(parse_url(database_url))
    with database.writing() as connection:
        connection.execute(statement)
    database.close()


def test_lost_records_are_summed_for_each_host_and_left_out_if_stated_long_ago(
    store: Store,
) -> None:
    def state(at: datetime, lost: LostRecords, chain: str) -> None:
        actor = AuditActor("segnode", AuditInterface.NODE)
        outcome = AuditOutcome.SERIOUS_FAILURE
        record = AuditRecord(at, AuditAction.AUDIT_LOST, outcome, actor, (), lost.text())
        with store._database.writing() as connection:
            append_record(store._database, connection, record, chain)

    state(NOON, LostRecords(9, NOON, NOON), "a")
    state(LATER, LostRecords(2, NOON, LATER), "a")
    state(LATER, LostRecords(3, LATER, LATER), "a")
    state(LATER, LostRecords(1, LATER, LATER), "b")
    store.record(a_record(LostRecords(50, NOON, NOON).text()))
    assert store.lost_audit_records(LATER) == {
        "a": LostRecords(5, NOON, LATER),
        "b": LostRecords(1, LATER, LATER),
    }
