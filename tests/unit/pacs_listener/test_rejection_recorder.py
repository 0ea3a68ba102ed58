"""The recorder of rejections between two writes, without a network."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE

from node.domain.connections.rejected_connection import ListenerRejection
from node.store import Store
from pacs_listener.rejection_recorder import RejectionRecorder
from tests.support.factories import NOON, sqlite_url


def rejection(calling: str) -> Event:
    """An association of an unknown sender, as pynetdicom rejects it."""
    request, answer = A_ASSOCIATE(), A_ASSOCIATE()
    request.calling_ae_title, request.called_ae_title = calling, "SEGNODE"
    answer.result, answer.result_source, answer.diagnostic = 0x01, 0x01, 0x03
    association = SimpleNamespace(
        requestor=SimpleNamespace(primitive=request, address="192.0.2.21"),
        acceptor=SimpleNamespace(primitive=answer),
    )
    return cast("Event", SimpleNamespace(assoc=association))


def test_many_ae_titles_between_two_writes_share_a_row_and_are_all_counted(
    tmp_path: Path,
) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    recorder = RejectionRecorder(store, lambda: NOON)
    for number in range(2000):
        recorder.record_association(rejection(f"SCAN{number}"))
    recorder.flush()
    counts = store.rejection_counts()
    assert counts[ListenerRejection.CALLING_AE_TITLE] == 2000
    assert len(store.rejected_connections(NOON)) <= 501
    store.close()


def test_counts_are_stored(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    recorder = RejectionRecorder(store, lambda: NOON)
    recorder.record_association(rejection("CT1"))
    recorder.flush()
    (found,) = store.rejected_connections(NOON)
    assert found.key.calling_ae_title == "CT1"
    store.close()
