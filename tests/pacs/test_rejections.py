"""What the listener rejects is recorded, with pynetdicom and DCMTK as its peers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from node.domain.connections.rejected_connection import ListenerRejection, RejectedConnection
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle
from node.intake.inbox import Inbox
from node.store import Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.rejection_recorder import RejectionRecorder
from pacs_listener.scp import Listener
from tests.support.audit_records import audit_records
from tests.support.factories import sqlite_url
from tests.support.peers import upper_layer
from tests.support.peers.raw_peer import RawPeer
from tests.support.waiting import until

MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"
UNKNOWN_SYNTAX = "1.2.840.10008.1.2.4.102"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Recording:
    """A listener that knows CT1 alone, and what it records."""

    port: int
    store: Store
    recorder: RejectionRecorder

    def associate(self, *contexts: tuple[str, str], calling: str = "CT1") -> Association:
        """Opens an association for these SOP classes with their transfer syntaxes."""
        entity = AE(calling)
        for sop_class, syntax in contexts or ((CTImageStorage, ExplicitVRLittleEndian),):
            entity.add_requested_context(sop_class, syntax)
        return entity.associate("127.0.0.1", self.port, ae_title="SEGNODE")

    def recorded(self) -> list[RejectedConnection]:
        """Stores what was counted so far, and returns what is stored."""
        self.recorder.flush()
        return self.store.rejected_connections(_utc_now())


@contextmanager
def recording(folder: Path, max_associations: int) -> Iterator[Recording]:
    """A listener on a free port that accepts so many associations at a time."""
    store = Store.open(sqlite_url(folder), folder)
    recorder = RejectionRecorder(store, _utc_now)
    policy = AssociationPolicy(
        ae_title=AeTitle("SEGNODE"),
        host="127.0.0.1",
        port=0,
        max_pdu=131072,
        max_associations=max_associations,
        calling_ae_titles=(AeTitle("CT1"), AeTitle("ATTACKER")),
    )
    commitment = CommitmentService(store, (), _utc_now)
    listener = Listener(policy, Inbox(store, 0), commitment, _utc_now, recorder)
    port = listener.start()
    yield Recording(port, store, recorder)
    listener.stop(0)
    store.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    with recording(tmp_path_factory.mktemp("listener"), 25) as opened:
        yield opened


@pytest.fixture
def listener(shared: Recording) -> Recording:
    """The listener of the module; the rejections of earlier tests are counted already."""
    shared.recorder.flush()
    return shared


def only(listener: Recording, reason: ListenerRejection, count: int = 1) -> RejectedConnection:
    """The only rejection for this reason, once it has been counted so often.

    The sender may have its answer before the listener has counted it.
    """

    def counted() -> list[RejectedConnection]:
        every = [one for one in listener.recorded() if one.key.reason is reason]
        return every if sum(one.tally.count for one in every) >= count else []

    (found,) = until(counted, 20, f"{count} rejections to be recorded")
    assert found.tally.count == count
    return found


def test_a_calling_ae_title_that_is_no_peer_is_recorded(listener: Recording) -> None:
    assert listener.associate(calling="CT_NEW").is_rejected
    assert listener.associate(calling="CT_NEW").is_rejected
    found = only(listener, ListenerRejection.CALLING_AE_TITLE, 2)
    assert (found.key.calling_ae_title, found.key.called_ae_title) == ("CT_NEW", "SEGNODE")
    assert found.key.address == "127.0.0.1"
    (record,) = audit_records(listener.store)
    assert (record.action, record.actor, record.address) == (
        "connection rejected",
        "CT_NEW",
        "127.0.0.1",
    )


def test_another_called_ae_title_is_recorded_for_dcmtk(listener: Recording) -> None:
    program = shutil.which("echoscu")
    if program is None:
        pytest.skip("echoscu is not installed: apt-get install dcmtk")
    command = [program, "-aet", "CT1", "-aec", "OLDNODE", "127.0.0.1", str(listener.port)]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0
    found = only(listener, ListenerRejection.CALLED_AE_TITLE)
    assert (found.key.calling_ae_title, found.key.called_ae_title) == ("CT1", "OLDNODE")


def test_too_many_associations_are_recorded(tmp_path: Path) -> None:
    with recording(tmp_path, 1) as listener:
        first = listener.associate()
        assert listener.associate().is_rejected
        first.release()
        only(listener, ListenerRejection.TOO_MANY_ASSOCIATIONS)


def test_unsupported_sop_classes_and_transfer_syntaxes_are_recorded(listener: Recording) -> None:
    association = listener.associate(
        (CTImageStorage, UNKNOWN_SYNTAX),
        (CTImageStorage, MODALITY_WORKLIST),
        (MODALITY_WORKLIST, ExplicitVRLittleEndian),
        ("1.2.840.10008.1.1", ExplicitVRLittleEndian),
    )
    association.release()
    sop_class = only(listener, ListenerRejection.SOP_CLASS)
    assert sop_class.key.sop_class_uid == MODALITY_WORKLIST
    syntax = only(listener, ListenerRejection.TRANSFER_SYNTAX)
    assert syntax.key.sop_class_uid == CTImageStorage
    assert syntax.tally.transfer_syntax_uids == (UNKNOWN_SYNTAX, MODALITY_WORKLIST)


def test_a_sop_class_with_one_accepted_transfer_syntax_is_not_recorded(
    listener: Recording,
) -> None:
    before = listener.recorded()
    association = listener.associate(
        (CTImageStorage, ExplicitVRLittleEndian), (CTImageStorage, "1.2.3.4")
    )
    assert association.is_established
    association.release()
    assert listener.recorded() == before


def test_a_refused_instance_is_recorded_with_its_status(listener: Recording) -> None:
    with RawPeer.associated(listener.port) as peer:
        assert peer.status(upper_layer.c_store(b"garbage, and nothing else", "1.2.3.1")) == 0xC000
    found = only(listener, ListenerRejection.INSTANCE)
    assert found.key.status == "C000"
    assert found.key.sop_class_uid == CTImageStorage


@pytest.mark.parametrize("title", [b"SEG\x00\x1bDE ", b"SEG\xff\xffDE "])
def test_a_request_with_other_bytes_than_text_is_aborted_and_not_recorded(
    listener: Recording, title: bytes
) -> None:
    before = listener.recorded()
    with RawPeer(listener.port) as peer:
        peer.send([upper_layer.associate_rq().replace(b"SEGNODE ", title)])
        pdu_type, _ = peer.read()
    assert pdu_type == upper_layer.ABORT[0]
    assert listener.recorded() == before


def test_a_database_that_does_not_answer_loses_no_count(
    listener: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Transient("the database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(listener.store, "record_rejections", fail)
        listener.associate(calling="CT_LATE")
        listener.recorder.flush()
        listener.associate(calling="CT_LATE")
        listener.recorder.flush()

    def count() -> int:
        late = [one for one in listener.recorded() if one.key.calling_ae_title == "CT_LATE"]
        return sum(one.tally.count for one in late)

    until(lambda: count() == 2, 20, "both rejections to be recorded")


def test_one_address_leaves_associations_to_others(tmp_path: Path) -> None:
    with recording(tmp_path, 5) as listener:
        opened = [listener.associate() for _ in range(4)]
        assert all(each.is_established for each in opened)
        assert listener.associate().is_rejected
        other = AE("CT1")
        other.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        elsewhere = other.associate(
            "127.0.0.1", listener.port, ae_title="SEGNODE", bind_address=("127.0.0.2", 0)
        )
        assert elsewhere.is_established
        only(listener, ListenerRejection.TOO_MANY_OF_ADDRESS)
        for each in (*opened, elsewhere):
            each.release()
