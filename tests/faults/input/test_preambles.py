"""Files whose preamble makes them programs too: the node stores and returns them without it.

The preamble of a DICOM file is 128 bytes of any content (PS3.10 7.1), so it can be the header of
a program (CVE-2019-11687). DICOM and HTTP use TLS, and the node needs a login.
"""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient

from node.delivery.destination import ResultFile
from node.delivery.folder import Folder
from node.domain.result_objects import SEG, ObjectUids
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.factories import series_in
from tests.support.peers.dcmsend import dcmsend
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.listener_process import ListenerProcess
from tests.support.servers.secured_node import SecuredNode, secured_node
from tests.support.servers.served_node import ServedNode

PREAMBLE_BYTES = 128
EMPTY_PREAMBLE = bytes(PREAMBLE_BYTES)
PROGRAMS = {
    "ELF": Path(sys.executable).resolve().read_bytes()[:PREAMBLE_BYTES],
    # The header of a DOS program, which holds the offset of the header of the Windows program.
    "MZ": b"MZ".ljust(60, b"\x90") + struct.pack("<I", 0x2000).ljust(PREAMBLE_BYTES - 60, b"\x0f"),
}
SLICES = 12


@pytest.fixture(params=list(PROGRAMS.values()), ids=list(PROGRAMS))
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """A CT series; the preamble of each file is the header of a program."""
    head: bytes = request.param
    assert len(head) == PREAMBLE_BYTES
    geometry = grid(slices=SLICES, rows=40, columns=48, spacing_mm=(14.0, 3.0, 3.0))
    files = ct_series(geometry=geometry).write(tmp_path / "programs")
    for file in files:
        file.write_bytes(head + file.read_bytes()[PREAMBLE_BYTES:])
    return files


def assert_no_program_is_stored(data_dir: Path, programs: list[Path]) -> None:
    """Checks that no file of the node contains the header of a program."""
    head = programs[0].read_bytes()[:PREAMBLE_BYTES]
    files = [path for path in data_dir.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".dcm"]) >= SLICES
    for path in files:
        content = path.read_bytes()
        assert head not in content
        assert path.suffix != ".dcm" or content[: PREAMBLE_BYTES + 4] == EMPTY_PREAMBLE + b"DICM"


def test_a_sent_program_is_stored_without_its_preamble(
    programs: list[Path], certificates: TlsSite, tmp_path: Path
) -> None:
    data_dir = tmp_path / "node" / "data"
    with ListenerProcess(data_dir, tls=certificates) as listener:
        sent = dcmsend(programs, listener.tls_port.number, certificates)
        assert len(sent.acknowledged) == SLICES
        assert_no_program_is_stored(data_dir, programs)


@pytest.fixture
def secured(tmp_path: Path, programs: list[Path]) -> Iterator[SecuredNode]:
    """A node with the programs uploaded."""
    folder = tmp_path / "node"
    folder.mkdir()
    with secured_node(folder) as served:
        headers = {"Content-Type": "application/dicom"}
        with served.program(served.node.dicomweb_url) as client:
            for file in programs:
                answer = client.post("/studies", content=file.read_bytes(), headers=headers)
                assert answer.status_code == 200
        yield served


@pytest.fixture
def node(secured: SecuredNode) -> ServedNode:
    return secured.node


def test_an_uploaded_program_is_returned_without_its_preamble(
    secured: SecuredNode, node: ServedNode, programs: list[Path]
) -> None:
    assert_no_program_is_stored(node.settings.data_dir, programs)
    (series,) = series_in(node.store)
    uids = (series.study_instance_uid, series.series_instance_uid)
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(secured.ca_file)
        client = DICOMwebClient(node.dicomweb_url, session, headers=secured.authorization)
        for dataset in client.iter_series(*uids):
            assert dataset.preamble == EMPTY_PREAMBLE
    of_series = f"/studies/{uids[0]}/series/{uids[1]}"
    with secured.program(node.dicomweb_url) as program:
        for instance in node.store.instances_of(uids[1]):
            url = f"{of_series}/instances/{instance.sop_instance_uid}"
            for media_type in ("application/dicom", "application/dicom; transfer-syntax=*"):
                content = program.get(url, headers={"Accept": media_type}).content
                assert content[: PREAMBLE_BYTES + 4] == EMPTY_PREAMBLE + b"DICM"


def test_the_result_of_programs_is_delivered_without_their_preamble(
    node: ServedNode, programs: list[Path], tmp_path: Path
) -> None:
    (series,) = series_in(node.store)
    job = node.finish_job(node.add_job(series))
    assert job.result_path is not None
    result_uids = ObjectUids(job.job_id, SEG)
    result = ResultFile(
        job.result_path,
        job.study_instance_uid,
        result_uids.series_instance_uid,
        result_uids.sop_instance_uid(),
    )
    Folder("archive", tmp_path / "archive").deliver([result])
    (delivered,) = (tmp_path / "archive").rglob("*.dcm")
    assert delivered.read_bytes()[: PREAMBLE_BYTES + 4] == EMPTY_PREAMBLE + b"DICM"
    assert programs[0].read_bytes()[:PREAMBLE_BYTES] not in delivered.read_bytes()
    assert_no_program_is_stored(node.settings.data_dir, programs)
