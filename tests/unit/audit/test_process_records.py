"""Starts and stops of processes in the audit trail."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.audit.losses import AuditLosses
from node.audit.process_records import recorded_process
from node.domain.audit.records import AuditRecord
from node.domain.errors import Misconfigured, Transient
from node.store import Store
from tests.support.audit_records import audit_records
from tests.support.factories import NOON, sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def losses(tmp_path: Path) -> AuditLosses:
    """The losses of this host, none so far."""
    return AuditLosses(tmp_path)


def outcomes(store: Store) -> list[tuple[str, str, str]]:
    return [(each.action, each.outcome, each.detail) for each in reversed(audit_records(store))]


def test_a_process_is_recorded_when_it_starts_and_when_it_stops(
    store: Store, losses: AuditLosses
) -> None:
    with recorded_process(store.record, "listener", lambda: NOON, losses):
        ((started, _outcome, version),) = outcomes(store)
    assert (started, version.split(".")[0]) == ("started", "segnode 0")
    assert outcomes(store)[1:] == [("stopped", "success", "")]
    for record in audit_records(store):
        assert record.objects == (("process", f"{socket.gethostname()}/listener"),)
        assert (record.actor, record.interface) == ("segnode", "node")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Misconfigured("is taken\nby Orthanc", key="listener.port"), "is taken by Orthanc"),
        (ValueError("Doe^Jane"), "ValueError"),
    ],
)
def test_a_process_that_fails_has_its_reason_but_no_text_of_a_defect(
    store: Store, losses: AuditLosses, error: Exception, reason: str
) -> None:
    running = recorded_process(store.record, "web", lambda: NOON, losses)
    with pytest.raises(type(error)), running:
        raise error
    action, outcome, detail = outcomes(store)[1]
    assert (action, outcome) == ("stopped", "serious failure")
    assert detail.endswith(reason)
    assert "Jane" not in detail


def test_a_process_runs_although_its_start_cannot_be_recorded_and_counts_it(
    store: Store, losses: AuditLosses
) -> None:
    def fail(_record: AuditRecord) -> None:
        raise Transient("the disk is full")

    ran = []
    with recorded_process(fail, "listener", lambda: NOON, losses):
        ran.append("received")
    assert ran == ["received"]
    losses.report(store.record, lambda: NOON)
    ((action, _outcome, detail),) = outcomes(store)
    assert (action, detail.split(";")[0]) == (
        "audit records lost",
        "records that could not be written: 2",
    )
