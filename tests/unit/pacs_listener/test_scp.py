"""What the listener accepts and how it responds, without a network."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE, N_ACTION
from pynetdicom.events import Event

from node.dicom.uid_names import uid_name
from node.domain.errors import Misconfigured, Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle
from node.intake.inbox import Inbox
from node.store import Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.presentation_contexts import (
    STORAGE_SOP_CLASSES,
    STORAGE_TRANSFER_SYNTAXES,
    VERIFICATION,
    VERIFICATION_TRANSFER_SYNTAXES,
)
from pacs_listener.scp import Listener
from pacs_listener.store_status import MEANINGS, DoesNotMatch, StoreStatus, error_comment, status_of
from tests.support.factories import CT_IMAGE, EXPLICIT, NOON, encoded, series_in, sqlite_url

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
HOUR = timedelta(hours=1)
POLICY = AssociationPolicy(
    ae_title=AeTitle("SEGNODE"),
    host="127.0.0.1",
    port=0,
    max_pdu=131072,
    max_associations=10,
    calling_ae_titles=(),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def listener(store: Store) -> Listener:
    commitment = CommitmentService(store, ("CT1",), lambda: NOON)
    return Listener(POLICY, Inbox(store, 0), commitment, lambda: NOON)


class _Association:
    """What the listener reads of an association."""

    requestor = SimpleNamespace(ae_title="MODALITY1", address="test")


def c_store(
    dataset: bytes,
    *,
    sop_class_uid: str = CT_IMAGE,
    sop_instance_uid: str = "1.2.3.1",
    abstract_syntax: str = CT_IMAGE,
    transfer_syntax: str = EXPLICIT,
) -> Event:
    """A C-STORE request as an association delivers it."""
    request = C_STORE()
    request.AffectedSOPClassUID = UID(sop_class_uid)
    request.AffectedSOPInstanceUID = UID(sop_instance_uid)
    request.DataSet = BytesIO(dataset)
    context = SimpleNamespace(abstract_syntax=abstract_syntax, transfer_syntax=transfer_syntax)
    event = SimpleNamespace(
        request=request,
        context=context,
        assoc=_Association(),
        encoded_dataset=lambda include_meta: dataset,
    )
    return cast(Event, event)


def answer(listener: Listener, event: Event) -> tuple[int, str]:
    """The status and the Error Comment of the response."""
    handlers = {handler[0]: handler[1] for handler in listener.handlers}
    response = handlers[evt.EVT_C_STORE](event)
    if isinstance(response, Dataset):
        return int(response.Status), str(response.ErrorComment)
    return int(response), ""


def test_success_is_answered_for_a_stored_instance(listener: Listener, store: Store) -> None:
    assert answer(listener, c_store(encoded())) == (0x0000, "")
    (stored,) = store.instances_of("1.2.3")
    assert stored.path.is_file()
    series = store.get_series("1.2.3")
    assert series is not None
    assert series.origin == "c-store MODALITY1"


def test_an_instance_with_emptied_uids_is_accepted_with_a_warning(listener: Listener) -> None:
    status, comment = answer(listener, c_store(encoded(sop_class_uid="", sop_instance_uid="")))
    assert status == 0xB000
    assert comment == "filled in: SOP Class UID, SOP Instance UID"


@pytest.mark.parametrize(
    ("event", "status", "expected"),
    [
        (c_store(encoded(), sop_instance_uid="1.9"), 0xA900, "SOP Instance UID differs"),
        (c_store(encoded(), sop_class_uid=MR_IMAGE), 0xA900, "SOP Class UID differs"),
        (c_store(encoded(), abstract_syntax=MR_IMAGE), 0xA900, "SOP Class UID differs"),
        (c_store(b"garbage, and nothing else"), 0xC000, "cannot be read as DICOM"),
        (c_store(b""), 0xC000, "no Study Instance UID"),
        (c_store(encoded(), transfer_syntax="1.2.840.10008.1.2"), 0xC000, "cannot be read"),
    ],
    ids=["instance", "class", "context", "garbage", "empty", "wrong-syntax"],
)
def test_an_invalid_request_is_refused_with_a_comment(
    listener: Listener, store: Store, event: Event, status: int, expected: str
) -> None:
    answered, comment = answer(listener, event)
    assert answered == status
    assert expected in comment
    assert series_in(store) == []


def test_an_instance_that_another_series_has_is_refused(listener: Listener) -> None:
    answer(listener, c_store(encoded()))
    status, comment = answer(listener, c_store(encoded(series_instance_uid="1.2.4")))
    assert status == 0xC010
    assert comment.startswith("instance 1.2.3.1 is stored already")


def test_a_full_disk_is_answered_as_out_of_resources_without_a_path(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device", "/srv/segnode")

    monkeypatch.setattr("node.store.files.folder.os.fsync", full)
    assert answer(listener, c_store(encoded())) == (
        0xA700,
        "out of resources, send again later",
    )
    monkeypatch.undo()
    assert answer(listener, c_store(encoded()))[0] == 0x0000


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Transient("x"), StoreStatus.OUT_OF_RESOURCES),
        (Rejected(RejectionReason.INVALID_INSTANCE, "x"), StoreStatus.CANNOT_UNDERSTAND),
        (DoesNotMatch("x"), StoreStatus.DOES_NOT_MATCH),
        (Misconfigured("x"), StoreStatus.DEFECT),
    ],
)
def test_each_error_family_has_its_status(error: Exception, status: StoreStatus) -> None:
    assert isinstance(error, Transient | Rejected | Misconfigured)
    assert status_of(error) is status


def test_every_status_is_in_the_range_of_its_meaning_in_the_standard() -> None:
    # PS3.4 table B.2-1.
    masks = {
        "Success": (0xFFFF, 0x0000),
        "Warning: Coercion of Data Elements": (0xFFFF, 0xB000),
        "Refused: Not Authorized": (0xFFFF, 0x0124),
        "Refused: Out of Resources": (0xFF00, 0xA700),
        "Error: Data Set Does Not Match SOP Class": (0xFF00, 0xA900),
        "Error: Cannot Understand": (0xF000, 0xC000),
    }
    assert set(MEANINGS) == set(StoreStatus)
    for status, (meaning, _) in MEANINGS.items():
        mask, value = masks[meaning]
        assert status & mask == value


def test_a_comment_fits_its_element() -> None:
    error = Rejected(RejectionReason.INVALID_INSTANCE, "ä\\\n" + "x" * 100)
    assert error_comment(error) == "???" + "x" * 61


def test_the_tables_use_the_names_of_the_standard() -> None:
    for uid, name in STORAGE_SOP_CLASSES.items():
        assert uid_name(uid) == name
    for uid, name in (STORAGE_TRANSFER_SYNTAXES | VERIFICATION_TRANSFER_SYNTAXES).items():
        standard = UID(uid).name.replace("[", "").replace("]", "")
        assert name.replace(", Selection", " Selection").split(" (Retired)")[0] == standard
    assert UID(VERIFICATION).name == "Verification SOP Class"


def test_every_accepted_transfer_syntax_can_be_decoded() -> None:
    for uid in STORAGE_TRANSFER_SYNTAXES:
        assert get_decoder(UID(uid)).is_available, uid


def test_lossy_transfer_syntaxes_are_accepted_last() -> None:
    order = list(STORAGE_TRANSFER_SYNTAXES)
    lossy = [uid for uid in order if uid.endswith((".81", ".91", ".203"))]
    assert order[-len(lossy) :] == lossy


@pytest.mark.parametrize("module", ["pacs_listener.scp", "pacs_listener.__main__"])
def test_the_listener_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'monai') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def n_action(
    listener: Listener, information: Dataset, *, calling: str = "CT1", action: int = 1
) -> int:
    """The status of an N-ACTION of the Storage Commitment Push Model."""
    request = N_ACTION()
    request.ActionTypeID = action
    event = SimpleNamespace(
        request=request,
        action_information=information,
        assoc=SimpleNamespace(requestor=SimpleNamespace(ae_title=calling)),
    )
    status, _ = listener._commitment.handle_n_action(cast("Event", event))
    return status


def commitment_for(*uids: str, transaction: str = "1.2.9") -> Dataset:
    information = Dataset()
    information.TransactionUID = transaction
    items = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID = CT_IMAGE
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    information.ReferencedSOPSequence = items
    return information


def test_a_repeated_commitment_request_is_stored_once(listener: Listener, store: Store) -> None:
    for _ in range(2):
        assert n_action(listener, commitment_for("1.2.3.1", "1.2.3.2")) == 0x0000
    (request,) = store.due_commitments(NOON, HOUR)
    assert (request.peer, len(request.references)) == ("CT1", 2)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_an_invalid_commitment_request_is_refused(listener: Listener, store: Store) -> None:
    fine = commitment_for("1.2.3.1")
    assert n_action(listener, fine, calling="STRANGER") == 0x0124
    assert n_action(listener, fine, action=2) == 0x0123
    assert n_action(listener, commitment_for()) == 0x0115
    assert n_action(listener, commitment_for("1.2.3.x")) == 0x0115
    assert n_action(listener, commitment_for("1.2.3.1", transaction="")) == 0x0115
    assert store.due_commitments(NOON, HOUR) == []
