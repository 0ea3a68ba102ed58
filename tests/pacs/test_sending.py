"""Files that the node sends by C-STORE, received by DCMTK."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from node.demo.free_ports import free_ports
from node.dimse.scu import Remote
from node.dimse.store_sending import SendSummary, send
from node.domain.identifiers import AeTitle, Uid
from node.domain.instance import Channel, Origin
from node.intake.part10 import part10_bytes, received_from_file
from tests.pacs.test_listener import listens
from tests.support.factories import encoded, received
from tests.support.waiting import until

_ORIGIN = Origin(Channel.FOLDER, "test")
_UIDS = ("1.2.3.1", "1.2.3.2", "1.2.3.3")


def _written(folder: Path, sop_instance_uid: str, syntax: str, pixels: int = 300_000) -> Path:
    dataset = encoded(
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=syntax,
        attributes={"PixelData": bytes(range(256)) * (pixels // 256)},
    )
    instance = replace(
        received(sop_instance_uid=sop_instance_uid, dataset=dataset),
        transfer_syntax_uid=Uid(syntax),
    )
    file = folder / f"{sop_instance_uid}.dcm"
    file.write_bytes(part10_bytes(instance))
    return file


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[Remote]:
    """DCMTK's storescp, which writes what it receives to a folder, as it is."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp is not installed: apt-get install dcmtk")
    folder.mkdir()
    (port,) = free_ports(1)
    command = [program, *options, "--output-directory", str(folder), str(port)]
    server = subprocess.Popen(command)
    try:
        until(lambda: listens(port), 20, "storescp to start")
        yield Remote(AeTitle("STORESCP"), "127.0.0.1", port)
    finally:
        server.kill()
        server.wait()


def _sent(files: list[Path], remote: Remote) -> SendSummary:
    return send(files, remote, AeTitle("SENDER"))


@pytest.mark.parametrize("max_pdu", ["4096", "131072"])
def test_the_data_set_arrives_unchanged(tmp_path: Path, max_pdu: str) -> None:
    files = [_written(tmp_path, uid, ExplicitVRLittleEndian) for uid in _UIDS]
    with storescp(tmp_path / "out", "--bit-preserving", "--max-pdu", max_pdu) as remote:
        assert _sent(files, remote) == SendSummary(3, ())
    arrived = {
        instance.sop_instance_uid: instance.dataset
        for instance in (received_from_file(file, _ORIGIN) for file in (tmp_path / "out").iterdir())
    }
    assert arrived == {file.stem: received_from_file(file, _ORIGIN).dataset for file in files}


def test_an_image_is_converted_where_the_peer_takes_it_in_another_encoding_only(
    tmp_path: Path,
) -> None:
    files = [
        _written(tmp_path, uid, syntax)
        for uid, syntax in zip(
            _UIDS,
            (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian),
            strict=True,
        )
    ]
    with storescp(tmp_path / "out", "--implicit") as remote:
        assert _sent(files, remote) == SendSummary(3, ())
    arrived = [dcmread(file) for file in (tmp_path / "out").iterdir()]
    assert {str(each.SOPInstanceUID) for each in arrived} == set(_UIDS)
    assert {len(each.PixelData) for each in arrived} == {299_776}


def test_a_file_that_is_not_accepted_is_named_and_the_others_are_sent(tmp_path: Path) -> None:
    refused = _written(tmp_path, _UIDS[1], JPEGBaseline8Bit)
    files = [
        _written(tmp_path, _UIDS[0], ExplicitVRLittleEndian),
        refused,
        _written(tmp_path, _UIDS[2], ExplicitVRBigEndian),
    ]
    with storescp(tmp_path / "out", "--prefer-little") as remote:
        summary = _sent(files, remote)
    (failure,) = summary.failures
    assert refused.name in failure
    assert "JPEG Baseline" in failure
    assert len(list((tmp_path / "out").iterdir())) == 2
