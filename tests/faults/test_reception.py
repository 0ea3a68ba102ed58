"""The listener is killed while it receives: every acknowledged instance is stored completely.

The senders use TLS in one of two cases; a listener serves no HTTP.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from node.dimse.pynetdicom_internals import pause_reliably
from node.domain.identifiers import mint_uid
from node.domain.instance import Channel, Origin
from node.intake.part10 import part10_bytes, received_from_file, received_from_part10
from node.store import Store
from tests.support.factories import encoded, received
from tests.support.peers.secure_port import Port, TlsSite, number_of, tls_of
from tests.support.processes.listener_process import ListenerProcess
from tests.support.waiting import until

ORIGIN = Origin(Channel.FOLDER, "test")
ASSOCIATIONS = 3
INSTANCES_EACH = 40
SERIES = mint_uid("killed while receiving")


def write_series(folder: Path) -> list[Path]:
    """Writes files of half a megabyte each, so that a kill can interrupt a write."""
    folder.mkdir()
    files = []
    for number in range(ASSOCIATIONS * INSTANCES_EACH):
        uid = mint_uid("killed", str(number))
        pixels = number.to_bytes(2, "little") * (512 * 512)
        dataset = encoded(
            sop_instance_uid=uid, series_instance_uid=SERIES, attributes={"PixelData": pixels}
        )
        path = folder / f"{number}.dcm"
        path.write_bytes(part10_bytes(received(sop_instance_uid=uid, dataset=dataset)))
        files.append(path)
    return files


def send(
    port: Port, files: list[Path], acknowledged: set[str], calling: str, timeout_s: float
) -> None:
    """Sends until the association breaks; adds each file acknowledged with success."""
    entity = AE(calling)
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    entity.dimse_timeout = entity.network_timeout = timeout_s
    association = entity.associate(
        "127.0.0.1", number_of(port), ae_title="SEGNODE", max_pdu=131072, tls_args=tls_of(port)
    )
    pause_reliably(association)
    # pynetdicom leaves the socket of a lost peer open.
    assert association.dul.socket is not None
    connection = association.dul.socket.socket
    for file in files:
        if not association.is_established:
            break
        try:
            status = association.send_c_store(file)
        except RuntimeError:  # the association broke after the check
            break
        if "Status" in status and status.Status == 0x0000:
            acknowledged.add(file.name)
    if association.is_established:
        association.release()
    if connection is not None:
        connection.close()


def send_all(port: Port, files: list[Path], acknowledged: set[str], timeout_s: float) -> None:
    """Sends on several associations concurrently."""
    with ThreadPoolExecutor(ASSOCIATIONS) as associations:
        for number in range(ASSOCIATIONS):
            part = files[number::ASSOCIATIONS]
            associations.submit(send, port, part, acknowledged, f"MODALITY{number}", timeout_s)


def check_store(data_dir: Path, files: list[Path], acknowledged: set[str]) -> int:
    """Checks that acknowledged instances are indexed and all files complete; returns the count."""
    store = Store.open(f"sqlite:///{data_dir / 'segnode.db'}", data_dir)
    sent = {file.name: received_from_part10(file.read_bytes(), ORIGIN) for file in files}
    by_uid = {str(one.sop_instance_uid): one for one in sent.values()}
    for name in acknowledged:
        found = store.find_instance(sent[name].sop_instance_uid)
        assert found is not None, f"{name} was acknowledged and is lost"
        assert received_from_file(found.instance.path, ORIGIN) == sent[name]
    for path in (data_dir / "instances").rglob("*.dcm"):
        assert received_from_file(path, ORIGIN) == by_uid[path.stem]
    indexed = store.instances_of(SERIES)
    assert all(instance.path.is_file() for instance in indexed)
    store.close()
    return len(indexed)


@pytest.mark.parametrize(("kill_after", "by_tls"), [(1, False), (25, True)])
def test_a_kill_during_reception_loses_nothing_that_was_acknowledged(
    tmp_path: Path, certificates: TlsSite, kill_after: int, by_tls: bool
) -> None:
    tls = certificates if by_tls else None
    files, data_dir = write_series(tmp_path / "sent"), tmp_path / "data"
    acknowledged: set[str] = set()
    with ListenerProcess(data_dir, tls=tls) as listener:
        # A sender that lost its peer waits for the response until its timeout.
        sending = (listener.sender_port, files, acknowledged, 3)
        sender = threading.Thread(target=send_all, args=sending)
        sender.start()
        until(lambda: len(acknowledged) >= kill_after, 60, "some to be acknowledged")
        listener.kill()
        sender.join()

    assert kill_after <= len(acknowledged) < len(files)
    check_store(data_dir, files, acknowledged)

    with ListenerProcess(data_dir, tls=tls) as listener:
        assert [path.name for path in (data_dir / "incoming").iterdir()] == ["gate.lock"]
        again: set[str] = set()
        send_all(listener.sender_port, files, again, 30)
        assert again == {file.name for file in files}
        assert listener.stop() == 0
    assert check_store(data_dir, files, again) == len(files)


def test_a_listener_whose_port_is_taken_says_so_and_ends(tmp_path: Path) -> None:
    with ListenerProcess(tmp_path / "data") as listener:
        (tmp_path / "other").mkdir()
        with pytest.raises(AssertionError, match=r"misconfigured.*listener\.port: cannot listen"):
            ListenerProcess(tmp_path / "other" / "data", listener.port)
