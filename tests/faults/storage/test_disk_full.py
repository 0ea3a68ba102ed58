"""A full or read-only disk: the sender gets an error status, acknowledged instances stay.

DICOM uses TLS; a listener serves no HTTP.
"""

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
from tests.support.peers.secure_port import Port, TlsSite, number_of, tls_of
from tests.support.processes.listener_process import ListenerProcess
from tests.support.small_disk import SmallDisk, small_disk

SIZE_MIB = 32
FREE_BYTES = 12 << 20  # at the start
MAX_INSTANCES = 200
# Half a megabyte for each instance.
PIXELS = bytes(512 * 1024)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk so small that a series fills it."""
    with small_disk(tmp_path / "disk", SIZE_MIB) as made:
        yield made


class Sender:
    """Sends instances one by one on one association."""

    def __init__(self, folder: Path, port: Port) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._entity = AE("MODALITY")
        self._entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        self.association = self._entity.associate(
            "127.0.0.1", number_of(port), ae_title="SEGNODE", tls_args=tls_of(port)
        )

    def send(self, number: int) -> int:
        """Sends the instance with this number; returns the C-STORE status."""
        uid = mint_uid("full", str(number))
        dataset = encoded(sop_instance_uid=uid, attributes={"PixelData": PIXELS})
        path = self._folder / f"{number}.dcm"
        path.write_bytes(part10_bytes(received(sop_instance_uid=uid, dataset=dataset)))
        answer: Dataset = self.association.send_c_store(dcmread(path))
        return int(answer.Status)

    def send_until_refused(self) -> tuple[int, int]:
        """Returns the number of accepted instances, and the status of the first refused one."""
        for number in range(MAX_INSTANCES):
            status = self.send(number)
            if status != 0x0000:
                return number, status
        raise AssertionError("the disk never became full")


def kept(data_dir: Path, url: str = "") -> list[Path]:
    """Returns the files of all indexed instances."""
    store = Store.open(url or f"sqlite:///{data_dir / 'segnode.db'}", data_dir)
    paths = [instance.path for instance in store.instances_of("1.2.3")]
    store.close()
    return paths


def test_a_full_disk_is_reported_and_reception_resumes_once_there_is_space(
    disk: SmallDisk, tls: TlsSite | None, tmp_path: Path
) -> None:
    disk.fill(free_bytes=FREE_BYTES)
    with ListenerProcess(disk.folder / "data", more="least_free_gib = 0", tls=tls) as listener:
        sender = Sender(tmp_path / "sent", listener.sender_port)
        accepted, status = sender.send_until_refused()
        assert accepted > 0
        assert status == 0xA700
        disk.clear()
        assert sender.send(accepted) == 0x0000
        sender.association.release()
        assert listener.stop() == 0
    paths = kept(disk.folder / "data")
    assert len(paths) == accepted + 1
    assert all(dcmread(path).PixelData == PIXELS for path in paths)
    assert [path.name for path in (disk.folder / "data" / "incoming").iterdir()] == ["gate.lock"]


def test_a_disk_that_becomes_read_only_is_reported(
    disk: SmallDisk, tls: TlsSite | None, tmp_path: Path
) -> None:
    # A file open for writing, such as the database, would keep the disk from becoming read-only.
    url = f"sqlite:///{tmp_path / 'segnode.db'}"
    more = f'database_url = "{url}"\nleast_free_gib = 0'
    with ListenerProcess(disk.folder / "data", more=more, tls=tls) as listener:
        sender = Sender(tmp_path / "sent", listener.sender_port)
        assert sender.send(0) == 0x0000
        disk.remount("ro")
        assert sender.send(1) == 0xA700
        disk.remount("rw")
        assert sender.send(1) == 0x0000
        sender.association.release()
    assert len(kept(disk.folder / "data", url)) == 2


def test_associations_are_rejected_temporarily_before_the_disk_is_full(
    disk: SmallDisk, tls: TlsSite | None, tmp_path: Path
) -> None:
    disk.fill(free_bytes=FREE_BYTES)
    reserve = f"least_free_gib = {FREE_BYTES / 2 / (1 << 30)}"
    with ListenerProcess(disk.folder / "data", more=reserve, tls=tls) as listener:
        sender = Sender(tmp_path / "sent", listener.sender_port)
        accepted, status = sender.send_until_refused()
        assert accepted > 0
        assert status == 0xA700
        # The instance is already stored, so it needs no space.
        assert sender.send(0) == 0x0000
        sender.association.release()

        rejected = Sender(tmp_path / "sent", listener.sender_port).association
        assert rejected.is_rejected
        answer = rejected.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 1)

        disk.clear()
        again = Sender(tmp_path / "sent", listener.sender_port)
        assert again.send(accepted) == 0x0000
        again.association.release()
    assert len(kept(disk.folder / "data")) == accepted + 1
