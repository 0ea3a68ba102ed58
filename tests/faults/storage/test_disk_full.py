"""A disk that is full, or made read-only: the sender is told, what was acknowledged stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from node.domain.identifiers import mint_uid
from node.intake.part10 import part10_bytes
from node.store import Store
from tests.support.factories import encoded, received
from tests.support.processes.listener_process import ListenerProcess
from tests.support.small_disk import SmallDisk, small_disk

SIZE_MIB = 32
ROOM = 12 << 20  # at first, in bytes
MOST_INSTANCES = 200
# Each has half a megabyte of pixels.
PIXELS = bytes(512 * 1024)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """So small that a series fills it."""
    with small_disk(tmp_path / "disk", SIZE_MIB) as made:
        yield made


class Sender:
    """Sends one instance after another on one association."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._entity = AE("MODALITY")
        self._entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        self._port = port
        self.association = self._entity.associate("127.0.0.1", port, ae_title="SEGNODE")

    def send(self, number: int) -> int:
        """The status that the instance of this number is answered with."""
        uid = mint_uid("full", str(number))
        dataset = encoded(sop_instance_uid=uid, attributes={"PixelData": PIXELS})
        path = self._folder / f"{number}.dcm"
        path.write_bytes(part10_bytes(received(sop_instance_uid=uid, dataset=dataset)))
        answer: Dataset = self.association.send_c_store(dcmread(path))
        return int(answer.Status)

    def send_until_refused(self) -> tuple[int, int]:
        """How many were taken, and the status of the one that was not."""
        for number in range(MOST_INSTANCES):
            status = self.send(number)
            if status != 0x0000:
                return number, status
        raise AssertionError("the disk never became full")


def kept(data_dir: Path, url: str = "") -> list[Path]:
    """The files of all instances in the index."""
    store = Store.open(url or f"sqlite:///{data_dir / 'segnode.db'}", data_dir)
    paths = [instance.path for instance in store.instances_of("1.2.3")]
    store.close()
    return paths


def test_a_full_disk_is_told_and_reception_goes_on_once_there_is_room(
    disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill(room=ROOM)
    with ListenerProcess(disk.folder / "data", more="least_free_gib = 0") as listener:
        sender = Sender(tmp_path / "sent", listener.port)
        taken, status = sender.send_until_refused()
        assert taken > 0
        assert status == 0xA700
        disk.make_room()
        assert sender.send(taken) == 0x0000
        sender.association.release()
        assert listener.stop() == 0
    paths = kept(disk.folder / "data")
    assert len(paths) == taken + 1
    assert all(dcmread(path).PixelData == PIXELS for path in paths)
    assert [path.name for path in (disk.folder / "data" / "incoming").iterdir()] == ["gate.lock"]


def test_a_disk_that_becomes_read_only_is_told(disk: SmallDisk, tmp_path: Path) -> None:
    # What is open for writing would keep the system from making it read-only: the database.
    url = f"sqlite:///{tmp_path / 'segnode.db'}"
    more = f'database_url = "{url}"\nleast_free_gib = 0'
    with ListenerProcess(disk.folder / "data", more=more) as listener:
        sender = Sender(tmp_path / "sent", listener.port)
        assert sender.send(0) == 0x0000
        disk.remount("ro")
        assert sender.send(1) == 0xA700
        disk.remount("rw")
        assert sender.send(1) == 0x0000
        sender.association.release()
    assert len(kept(disk.folder / "data", url)) == 2


def test_before_the_disk_is_full_associations_are_rejected_for_the_time_being(
    disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill(room=ROOM)
    reserve = f"least_free_gib = {ROOM / 2 / (1 << 30)}"
    with ListenerProcess(disk.folder / "data", more=reserve) as listener:
        sender = Sender(tmp_path / "sent", listener.port)
        taken, status = sender.send_until_refused()
        assert taken > 0
        assert status == 0xA700
        # Sent before, so there is nothing more to keep.
        assert sender.send(0) == 0x0000
        sender.association.release()

        rejected = Sender(tmp_path / "sent", listener.port).association
        assert rejected.is_rejected
        answer = rejected.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 1)

        disk.make_room()
        again = Sender(tmp_path / "sent", listener.port)
        assert again.send(taken) == 0x0000
        again.association.release()
    assert len(kept(disk.folder / "data")) == taken + 1
