"""The contract of the store for rejected connections, on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

from node.domain.connections.rejected_connection import (
    ListenerRejection,
    RejectedConnection,
    RejectionKey,
    RejectionTally,
)
from node.domain.connections.seen_certificate import PeerRole, SeenCertificate
from node.store import Store
from node.store.connections.certificates import KEPT as CERTIFICATES_KEPT
from node.store.connections.rejected import KEPT, MAX_ROWS, MAX_ROWS_PER_ADDRESS
from tests.support.factories import LATER, NOON

SHOWN = SeenCertificate("CT1", PeerRole.SENDER, ("ct1", "192.0.2.21"), "ab" * 32, LATER)
CT1 = RejectionKey("CT1", "SEGNODE", "192.0.2.21", ListenerRejection.CALLING_AE_TITLE)
MR = RejectionKey(
    "CT1", "SEGNODE", "192.0.2.21", ListenerRejection.SOP_CLASS, "1.2.840.10008.5.1.4.31"
)


def once(count: int = 1) -> RejectionTally:
    return RejectionTally(count, NOON, NOON)


def test_rejections_of_one_sender_for_one_reason_are_one_row(store: Store) -> None:
    store.record_rejections({CT1: RejectionTally(2, NOON, NOON, ("1.2.840.10008.1.2",))}, NOON)
    store.record_rejections({CT1: RejectionTally(3, LATER, LATER, ("1.2.3",)), MR: once()}, LATER)
    assert store.rejected_connections(LATER) == [
        RejectedConnection(CT1, RejectionTally(5, NOON, LATER, ("1.2.3",))),
        RejectedConnection(MR, once()),
    ]


def test_rejections_are_counted_by_reason(store: Store) -> None:
    assert set(store.rejection_counts().values()) == {0}
    store.record_rejections({CT1: once(2), MR: once()}, NOON)
    store.record_rejections({CT1: once()}, LATER)
    counts = store.rejection_counts()
    assert counts[ListenerRejection.CALLING_AE_TITLE] == 3
    assert counts[ListenerRejection.SOP_CLASS] == 1
    assert sum(counts.values()) == 4


def test_rejections_are_forgotten_after_their_time_and_stay_counted(store: Store) -> None:
    store.record_rejections({CT1: once()}, NOON)
    after = NOON + KEPT + timedelta(seconds=1)
    assert store.rejected_connections(after) == []
    store.record_rejections({MR: RejectionTally(1, after, after)}, after)
    assert [one.key for one in store.rejected_connections(NOON)] == [MR]
    assert store.rejection_counts()[ListenerRejection.CALLING_AE_TITLE] == 1


def test_one_address_with_many_ae_titles_displaces_no_other_sender(store: Store) -> None:
    store.record_rejections({CT1: once()}, NOON)
    scans = {
        RejectionKey(f"SCAN{n}", "ANY", "198.51.100.9", ListenerRejection.CALLED_AE_TITLE): (
            RejectionTally(1, LATER, LATER)
        )
        for n in range(MAX_ROWS_PER_ADDRESS + 50)
    }
    store.record_rejections(scans, LATER)
    kept = store.rejected_connections(LATER)
    assert len(kept) == MAX_ROWS_PER_ADDRESS + 1
    assert kept[-1].key == CT1
    assert store.rejection_counts()[ListenerRejection.CALLED_AE_TITLE] == len(scans)


def test_the_number_of_rows_has_a_limit(store: Store) -> None:
    many = {
        RejectionKey("X", "Y", f"2001:db8::{n:x}", ListenerRejection.OTHER): once()
        for n in range(MAX_ROWS + 5)
    }
    store.record_rejections(many, NOON)
    assert len(store.rejected_connections(NOON)) == MAX_ROWS


def test_the_last_certificate_of_each_peer_and_role_is_kept_for_its_time(store: Store) -> None:
    receiver = replace(SHOWN, role=PeerRole.RECEIVER)
    renewed = replace(SHOWN, sha256="cd" * 32, expires_at=LATER + timedelta(days=1))
    store.record_certificates([SHOWN, receiver], NOON)
    store.record_certificates([renewed], LATER)
    assert store.peer_certificates(LATER) == [receiver, renewed]
    after = LATER + CERTIFICATES_KEPT + timedelta(seconds=1)
    assert store.peer_certificates(after) == []
    store.record_certificates([], after)
    assert store.peer_certificates(NOON) == []
