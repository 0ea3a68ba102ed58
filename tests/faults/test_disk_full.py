"""A disk that is full, or made read-only: the sender is told, what was acknowledged stays."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from node.domain.identity import mint_uid
from node.intake.part10 import file_of
from node.store import Store
from tests.faults.listener_process import ListenerProcess
from tests.stored import encoded, received

SIZE_MIB = 24
MOST_INSTANCES = 200
# Each has half a megabyte of pixels.
PIXELS = bytes(512 * 1024)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, so small that a series fills it."""
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={SIZE_MIB}m"
    mount = ["mount", "-t", "tmpfs", "-o", options, "segnode-test", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system cannot be mounted here: run as root, with CAP_SYS_ADMIN")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


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
        path.write_bytes(file_of(received(sop_instance_uid=uid, dataset=dataset)))
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
    disk: Path, tmp_path: Path
) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(10 << 20))
    with ListenerProcess(disk / "data", more="least_free_gib = 0") as listener:
        sender = Sender(tmp_path / "sent", listener.port)
        taken, status = sender.send_until_refused()
        assert taken > 0
        assert status == 0xA700
        ballast.unlink()
        assert sender.send(taken) == 0x0000
        sender.association.release()
        assert listener.stop() == 0
    paths = kept(disk / "data")
    assert len(paths) == taken + 1
    assert all(dcmread(path).PixelData == PIXELS for path in paths)
    assert [path.name for path in (disk / "data" / "incoming").iterdir()] == ["gate.lock"]


def test_a_disk_that_becomes_read_only_is_told(disk: Path, tmp_path: Path) -> None:
    # What is open for writing would keep the system from making it read-only: the database.
    url = f"sqlite:///{tmp_path / 'segnode.db'}"
    more = f'database_url = "{url}"\nleast_free_gib = 0'
    with ListenerProcess(disk / "data", more=more) as listener:
        sender = Sender(tmp_path / "sent", listener.port)
        assert sender.send(0) == 0x0000
        _remount(disk, "ro")
        assert sender.send(1) == 0xA700
        _remount(disk, "rw")
        assert sender.send(1) == 0x0000
        sender.association.release()
    assert len(kept(disk / "data", url)) == 2


def test_before_the_disk_is_full_associations_are_rejected_for_the_time_being(
    disk: Path, tmp_path: Path
) -> None:
    reserve_mib = 8
    ballast = disk / "ballast"
    ballast.write_bytes(bytes((SIZE_MIB // 2) << 20))
    with ListenerProcess(disk / "data", more=f"least_free_gib = {reserve_mib / 1024}") as listener:
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

        ballast.unlink()
        again = Sender(tmp_path / "sent", listener.port)
        assert again.send(taken) == 0x0000
        again.association.release()
    assert len(kept(disk / "data")) == taken + 1


def _remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)
