"""The listener over a real network, with pynetdicom and DCMTK as its peers."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from node.dimse.pynetdicom_internals import pause_reliably
from node.dimse.scu import Remote
from node.dimse.store_sending import send as send_files
from node.domain.errors import Misconfigured
from node.domain.identifiers import AeTitle, mint_uid
from node.intake.inbox import Inbox
from node.store import Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.scp import Listener
from tests.support.dicom.small_series import small_series
from tests.support.factories import series_in, sqlite_url
from tests.support.shared_data import ct_files
from tests.support.waiting import until

POLICY = AssociationPolicy(
    ae_title=AeTitle("SEGNODE"),
    host="127.0.0.1",
    port=0,
    max_pdu=131072,
    max_associations=10,
    calling_ae_titles=(),
)


@dataclass(frozen=True)
class Running:
    """A running listener and its store."""

    listener: Listener
    port: int
    store: Store

    @property
    def remote(self) -> Remote:
        """Its address for a sender."""
        return Remote(AeTitle("SEGNODE"), "127.0.0.1", self.port)

    def counts(self) -> dict[str, int]:
        """The number of instances of each series; checks the counter and the files."""
        counts = {}
        for series in series_in(self.store):
            instances = self.store.instances_of(series.series_instance_uid)
            assert series.instance_count == len(instances)
            assert all(one.path.is_file() for one in instances)
            counts[str(series.series_instance_uid)] = len(instances)
        return counts


StartListener = Callable[[AssociationPolicy], Running]


@pytest.fixture
def start_listener(tmp_path: Path) -> Iterator[StartListener]:
    """Starts listeners on free ports; all are stopped after the test."""
    with ExitStack() as stack:

        def start(policy: AssociationPolicy) -> Running:
            store = Store.open(sqlite_url(tmp_path), tmp_path)
            stack.callback(store.close)
            listener = Listener(
                policy,
                Inbox(store, 0),
                CommitmentService(store, (), lambda: datetime.now(UTC)),
                lambda: datetime.now(UTC),
            )
            port = listener.start()
            stack.callback(listener.stop, 0)
            return Running(listener, port, store)

        yield start


@pytest.fixture
def running(start_listener: StartListener) -> Running:
    """A listener that accepts every calling AE title."""
    return start_listener(POLICY)


def dcmtk(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs one of DCMTK's programs."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: apt-get install dcmtk")
    command = [program, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def associate(port: int, *, calling: str = "MODALITY1", called: str = "SEGNODE") -> Association:
    """An association for CT images."""
    entity = AE(calling)
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title=called, max_pdu=131072)
    pause_reliably(association)
    return association


def listens(port: int) -> bool:
    """Whether the port accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def accepts(port: int) -> bool:
    """Whether a new association is accepted; it is released at once."""
    association = associate(port)
    established = association.is_established
    if established:
        association.release()
    return established


def send(association: Association, *files: Path) -> list[int]:
    """The statuses that the files are answered with."""
    return [int(association.send_c_store(file).Status) for file in files]


def test_echo_is_answered(running: Running) -> None:
    assert dcmtk("echoscu", "-aec", "SEGNODE", "127.0.0.1", running.port).returncode == 0


def test_another_called_ae_title_is_rejected(running: Running) -> None:
    echo = dcmtk("echoscu", "-aec", "SOMEBODY", "127.0.0.1", running.port)
    assert echo.returncode != 0
    assert "Called AE Title Not Recognized" in echo.stderr


def test_unlisted_calling_ae_titles_are_rejected(start_listener: StartListener) -> None:
    listed = start_listener(replace(POLICY, calling_ae_titles=(AeTitle("PACS"), AeTitle("CT2"))))
    echo = ("-aec", "SEGNODE", "127.0.0.1", listed.port)
    assert dcmtk("echoscu", "-aet", "CT2", *echo).returncode == 0
    stranger = dcmtk("echoscu", "-aet", "STRANGER", *echo)
    assert stranger.returncode != 0
    assert "Calling AE Title Not Recognized" in stranger.stderr


def test_two_series_in_one_association_are_stored(running: Running, tmp_path: Path) -> None:
    folder = tmp_path / "sent"
    small_series(folder, "a", slices=5)
    small_series(folder, "b", slices=4)
    sent = dcmtk("dcmsend", "-aec", "SEGNODE", "127.0.0.1", running.port, "+sd", folder)
    assert sent.returncode == 0, sent.stderr
    assert running.counts() == {
        mint_uid("small-series", "a"): 5,
        mint_uid("small-series", "b"): 4,
    }


def test_one_series_in_concurrent_associations_is_stored(running: Running, tmp_path: Path) -> None:
    files = small_series(tmp_path / "sent", "a", slices=24)

    def part(number: int) -> list[int]:
        association = associate(running.port)
        try:
            return send(association, *files[number::4])
        finally:
            association.release()

    with ThreadPoolExecutor(4) as associations:
        statuses = [status for part in associations.map(part, range(4)) for status in part]
    assert statuses == [0] * 24
    assert running.counts() == {mint_uid("small-series", "a"): 24}


def test_two_series_in_interleaved_associations_are_stored(
    running: Running, tmp_path: Path
) -> None:
    a, b = (small_series(tmp_path / "sent", name, slices=6) for name in "ab")
    one, other = associate(running.port), associate(running.port, calling="MODALITY2")
    for first, second in zip(a, b, strict=True):
        assert send(one, first) == [0]
        assert send(other, second) == [0]
        one, other = other, one
    one.release()
    other.release()
    assert running.counts() == {
        mint_uid("small-series", "a"): 6,
        mint_uid("small-series", "b"): 6,
    }


def test_a_resent_series_is_accepted_and_stored_once(running: Running, tmp_path: Path) -> None:
    files = small_series(tmp_path / "sent", "a", slices=3)
    association = associate(running.port)
    assert send(association, *files, *files) == [0] * 6
    association.release()
    assert running.counts() == {mint_uid("small-series", "a"): 3}


def send_bytes(association: Association, dataset: bytes) -> int:
    """The status of a C-STORE with these bytes as data set."""
    request = C_STORE()
    request.MessageID = 7
    request.AffectedSOPClassUID = CTImageStorage
    request.AffectedSOPInstanceUID = "1.2.3"
    request.Priority = 2
    request.DataSet = BytesIO(dataset)
    context = next(iter(association.accepted_contexts)).context_id
    assert context is not None
    # As `send_c_store` does, so that the reactor does not consume the response.
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert isinstance(response, C_STORE)
    assert response.Status is not None
    return response.Status


def test_an_unreadable_data_set_is_refused_and_the_association_continues(
    running: Running, tmp_path: Path
) -> None:
    files = small_series(tmp_path / "sent", "a", slices=2)
    association = associate(running.port)
    assert send(association, files[0]) == [0]
    assert send_bytes(association, b"this is not a data set") == 0xC000
    assert send_bytes(association, b"\x08\x00\x16\x00UI\xff\xff") == 0xC000
    other = Dataset()
    other.update(dcmread(files[1]))
    buffer = BytesIO()
    other.save_as(buffer, implicit_vr=False, little_endian=True)
    assert send_bytes(association, buffer.getvalue()) == 0xA900
    assert send(association, files[1]) == [0]
    association.release()
    assert running.counts() == {mint_uid("small-series", "a"): 2}


def test_a_defect_of_the_node_is_answered_and_logged(
    running: Running,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def breaks(*_: object) -> None:
        raise LookupError("a defect")

    files = small_series(tmp_path / "sent", "a", slices=2)
    association = associate(running.port)
    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "accept", breaks)
        assert send(association, files[0]) == [0xC211]
    assert "LookupError: a defect" in caplog.text
    assert send(association, *files) == [0, 0]
    association.release()


def test_associations_above_the_limit_are_rejected_until_one_ends(
    start_listener: StartListener,
) -> None:
    small = start_listener(replace(POLICY, max_associations=2))
    held = [associate(small.port) for _ in range(2)]
    assert all(association.is_established for association in held)
    assert associate(small.port).is_rejected
    held[0].release()

    until(lambda: accepts(small.port), 10, "a free association slot")
    held[1].release()


def test_connections_without_an_association_do_no_harm(running: Running) -> None:
    for _ in range(5):
        socket.create_connection(("127.0.0.1", running.port)).close()
    with socket.create_connection(("127.0.0.1", running.port)) as rude:
        rude.sendall(b"GET / HTTP/1.1\r\nHost: segnode\r\n\r\n")
        association = associate(running.port)
        assert association.is_established
        association.release()


def test_a_stop_waits_for_the_running_association(running: Running, tmp_path: Path) -> None:
    files = small_series(tmp_path / "sent", "a", slices=4)
    association = associate(running.port)
    assert send(association, files[0]) == [0]
    with ThreadPoolExecutor(1) as stopper:
        stopped = stopper.submit(running.listener.stop, 30)
        until(lambda: not listens(running.port), 10, "no new association")
        assert send(association, *files[1:]) == [0, 0, 0]
        association.release()
        stopped.result(timeout=20)
    assert running.counts() == {mint_uid("small-series", "a"): 4}


def test_a_port_in_use_is_reported(start_listener: StartListener) -> None:
    running = start_listener(POLICY)
    with pytest.raises(Misconfigured, match=rf"listener\.port: .*port {running.port}"):
        start_listener(replace(POLICY, port=running.port))


COMPRESSORS = {
    "deflated": ("dcmconv", "+td"),
    "big endian": ("dcmconv", "+tb"),
    "implicit": ("dcmconv", "+ti"),
    "RLE": ("dcmcrle",),
    "JPEG lossless": ("dcmcjpeg", "+e1"),
    "JPEG lossless process 14": ("dcmcjpeg", "+el"),
    "JPEG-LS lossless": ("dcmcjpls",),
}


@pytest.mark.parametrize("encoding", COMPRESSORS)
def test_each_transfer_syntax_is_stored_unchanged_and_can_be_decoded(
    running: Running, tmp_path: Path, encoding: str
) -> None:
    original = ct_files("chaos-set3")[0]
    sent = tmp_path / "sent.dcm"
    program, *options = COMPRESSORS[encoding]
    done = dcmtk(program, *options, original, sent)
    assert done.returncode == 0, done.stderr
    # DCMTK would propose other transfer syntaxes too, and convert.
    assert send_files([sent], running.remote, AeTitle("MODALITY1")).failures == ()
    (series,) = series_in(running.store)
    (instance,) = running.store.instances_of(series.series_instance_uid)
    stored, original_file = dcmread(instance.path), dcmread(sent)
    assert stored.file_meta.TransferSyntaxUID == original_file.file_meta.TransferSyntaxUID
    assert (stored.pixel_array == dcmread(original).pixel_array).all()


def test_a_real_jpeg_2000_series_with_emptied_uids_is_stored(running: Running) -> None:
    files = ct_files("siemens-j2k")
    summary = send_files(files, running.remote, AeTitle("MODALITY1"))
    assert (summary.accepted, summary.failures) == (20, ())
    (series,) = series_in(running.store)
    instances = running.store.instances_of(series.series_instance_uid)
    assert len(instances) == 20
    dataset = dcmread(instances[0].path)
    assert dataset.SeriesInstanceUID == series.series_instance_uid
    assert dataset.pixel_array.shape == (512, 512)
