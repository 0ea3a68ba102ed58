"""A peer completes its series by the release of its association, or by asking for commitment."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association

from node.commitment.push_model import (
    REQUEST_COMMITMENT,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    referenced_instance,
)
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.ruled_listener import RuledListener, ruled_listener
from tests.support.waiting import until

STORED = 0x0000


def peer(hints: str) -> str:
    return f'[peers.ct1]\nae_title = "CT1"\nhost = "192.0.2.1"\nport = 104\ncomplete_on = {hints}\n'


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[RuledListener]:
    with ruled_listener(tmp_path / "listener", peer('["release"]')) as running:
        yield running


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return small_ct().write(tmp_path_factory.mktemp("ct"))


def associate(listener: RuledListener) -> Association:
    entity = AE("CT1")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.add_requested_context(StorageCommitmentPushModel)
    return entity.associate("127.0.0.1", listener.port, ae_title="SEGNODE")


def send(association: Association, files: Sequence[Path]) -> None:
    for file in files:
        assert association.send_c_store(file).get("Status") == STORED


def ask_for_commitment(association: Association, files: Sequence[Path]) -> None:
    information = Dataset()
    information.TransactionUID = generate_uid()
    information.ReferencedSOPSequence = [
        referenced_instance(CTImageStorage, str(dcmread(file).SOPInstanceUID)) for file in files
    ]
    status, _ = association.send_n_action(
        information,
        REQUEST_COMMITMENT,
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )
    assert status.Status == STORED


def hints(listener: RuledListener) -> list[str]:
    """What has been said about the completeness of the only series."""
    (series,) = listener.store.open_series()
    if not listener.store.hinted_series([series]):
        return []
    history = listener.store.history_of(series.series_instance_uid)
    found = [each.detail for each in history if each.event == "series.completion_hint"]
    assert found
    return found


def test_the_release_of_its_association_completes_a_series(
    listener: RuledListener, images: list[Path]
) -> None:
    association = associate(listener)
    send(association, images)
    assert hints(listener) == []
    association.release()
    until(lambda: hints(listener), 10, "the hint")
    assert hints(listener) == ["CT1 has released its association"]


def test_an_aborted_association_completes_nothing(
    listener: RuledListener, images: list[Path]
) -> None:
    association = associate(listener)
    send(association, images)
    association.abort()
    until(lambda: listener.listener.is_idle, 10, "the end of the association")
    assert hints(listener) == []


def test_a_series_that_comes_over_two_associations_is_complete_with_the_second(
    listener: RuledListener, images: list[Path]
) -> None:
    first, second = associate(listener), associate(listener)
    send(first, images[:4])
    send(second, images[4:])
    first.release()
    third = associate(listener)
    third.release()
    assert hints(listener) == []
    second.release()
    until(lambda: hints(listener), 10, "the hint")


def test_a_request_for_commitment_of_all_its_images_completes_a_series(
    listener: RuledListener, images: list[Path]
) -> None:
    listener.use(peer('["commitment"]'))
    association = associate(listener)
    send(association, images)
    ask_for_commitment(association, images[1:])
    assert hints(listener) == []
    ask_for_commitment(association, images)
    assert hints(listener) == ["CT1 has requested storage commitment for all its images"]
    association.release()
    until(lambda: listener.listener.is_idle, 10, "the end of the association")
    assert len(hints(listener)) == 1, "its release says nothing"


def test_without_the_setting_neither_says_that_a_series_is_complete(
    listener: RuledListener, images: list[Path]
) -> None:
    listener.use(peer("[]"))
    association = associate(listener)
    send(association, images)
    ask_for_commitment(association, images)
    association.release()
    until(lambda: listener.listener.is_idle, 10, "the end of the association")
    assert hints(listener) == []
