"""Records that could not be written are counted until the trail states how many they are."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.audit.losses import AuditLosses
from node.domain.audit.lost_records import LostRecords, parsed_lost_records
from node.domain.audit.records import AuditRecord
from node.domain.errors import Transient
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.factories import LATER, NOON, sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


def statements(store: Store) -> list[LostRecords | None]:
    return [parsed_lost_records(each.detail) for each in reversed(audit_records(store))]


def now() -> datetime:
    return LATER


def fail(_record: AuditRecord) -> None:
    raise Transient("the database is locked")


def test_processes_of_a_host_count_together_and_one_states_the_sum_once(store: Store) -> None:
    web, worker = AuditLosses(store.data_dir), AuditLosses(store.data_dir)
    second = NOON + timedelta(seconds=1, microseconds=5)
    worker.add(second)
    web.add(NOON)
    web.add(second)
    worker.report(store.record, now)
    web.report(store.record, now)
    worker.report(store.record, now)
    (record,) = audit_records(store)
    assert (record.action, record.outcome) == ("audit records lost", "serious failure")
    assert record.objects == (("audit trail", socket.gethostname()),)
    assert record.happened_at == LATER
    assert statements(store) == [LostRecords(3, NOON, second)]
    web.add(LATER)
    web.report(store.record, now)
    assert statements(store)[1:] == [LostRecords(1, LATER, LATER)]
    assert store.audit_chain_faults() == ()


def test_the_count_stays_while_the_trail_cannot_be_written_and_over_a_restart(store: Store) -> None:
    losses = AuditLosses(store.data_dir)
    losses.add(NOON)
    with pytest.raises(Transient, match="locked"):
        losses.report(fail, now)
    losses.add(LATER)
    AuditLosses(store.data_dir).report(store.record, now)
    assert statements(store) == [LostRecords(2, NOON, LATER)]


def test_a_statement_whose_outcome_is_unknown_is_repeated(store: Store) -> None:
    def record_and_fail(record: AuditRecord) -> None:
        store.record(record)
        fail(record)

    losses = AuditLosses(store.data_dir)
    losses.add(NOON)
    with pytest.raises(Transient, match="locked"):
        losses.report(record_and_fail, now)
    losses.report(store.record, now)
    assert statements(store) == [LostRecords(1, NOON, NOON)] * 2


def test_a_process_counts_in_memory_while_the_file_cannot_be_written(store: Store) -> None:
    losses = AuditLosses(store.data_dir)
    losses.add(NOON)
    kept = losses.file.rename(losses.file.with_suffix(".kept"))
    losses.file.mkdir()
    losses.add(NOON)
    losses.add(LATER)
    with pytest.raises(Transient, match="locked"):
        losses.report(fail, now)
    losses.report(store.record, now)
    assert statements(store) == [LostRecords(2, NOON, LATER)]
    losses.add(LATER)
    losses.file.rmdir()
    kept.rename(losses.file)
    losses.add(LATER)
    losses.report(store.record, now)
    assert statements(store)[1:] == [LostRecords(3, NOON, LATER)]


def test_no_loss_of_concurrent_requests_and_processes_is_counted_twice_or_never(
    store: Store,
) -> None:
    processes = [AuditLosses(store.data_dir) for _ in range(4)]

    def lose_and_report(number: int) -> None:
        process = processes[number % len(processes)]
        process.add(NOON)
        if number % 5 == 0:
            process.report(store.record, now)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lose_and_report, range(200)))
    processes[0].report(store.record, now)
    assert sum(0 if each is None else each.count for each in statements(store)) == 200


def test_the_file_is_private_and_names_nobody(store: Store) -> None:
    losses = AuditLosses(store.data_dir)
    losses.add(NOON)
    assert losses.file.stat().st_mode & 0o777 == 0o600
    assert parsed_lost_records(losses.file.read_text(encoding="ascii")) is not None


@pytest.mark.parametrize("text", ["", "records up to 3, hash 00"])
def test_other_texts_state_no_loss(text: str) -> None:
    assert parsed_lost_records(text) is None
