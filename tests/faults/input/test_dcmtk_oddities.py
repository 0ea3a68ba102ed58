"""Unusual files written by dcmtk: legal ones are stored and read, illegal ones are refused.

What the tests send themselves goes by TLS, which `dcmsend` does not have.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from node.dicom.ct.reader import read_series
from node.domain.identifiers import Uid, mint_uid
from node.domain.instance import Channel, Origin
from node.intake.part10 import received_from_file
from node.store import Store
from pacs_listener.store_status import StoreStatus
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.factories import EXPLICIT
from tests.support.peers.dcmsend import dcmsend
from tests.support.peers.raw_peer import RawPeer
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.upper_layer import BIG_ENDIAN, DEFLATED, IMPLICIT, c_store
from tests.support.processes.listener_process import ListenerProcess

# pydicom warns of group lengths, which are retired.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SLICES = 3
# In addition to what a scanner writes: sequences, empty items, a private block.
SEQUENCES = """
(0008,1140) SQ
(fffe,e000) na
(0008,1150) UI =CTImageStorage
(0008,1155) UI [1.2.3.4]
(fffe,e00d) na
(fffe,e000) na
(fffe,e00d) na
(fffe,e0dd) na
(0009,0010) LO [ODD THINGS]
(0009,1001) UN 01\\02\\03\\04
(0009,1002) SQ
(fffe,e0dd) na
(0040,0275) SQ
(fffe,e000) na
(0040,0007) LO [scan]
(0040,0008) SQ
(fffe,e000) na
(0008,0100) SH [X]
(0008,0102) SH [99ODD]
(0008,0104) LO [odd]
(fffe,e00d) na
(fffe,e0dd) na
(fffe,e00d) na
(fffe,e0dd) na
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node") / "data"


@pytest.fixture(scope="module")
def listener(data_dir: Path, certificates: TlsSite) -> Iterator[ListenerProcess]:
    """A listener over the data folder."""
    with ListenerProcess(data_dir, tls=certificates) as process:
        yield process


def stored(data_dir: Path, series: str) -> list[Path]:
    """The indexed files of the series."""
    with closing(Store.open(f"sqlite:///{data_dir / 'segnode.db'}", data_dir)) as store:
        return [one.path for one in store.instances_of(Uid(series))]


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small CT series."""
    geometry = grid(slices=SLICES, rows=16, columns=16)
    return sorted(ct_series(geometry=geometry).write(tmp_path_factory.mktemp("ct")))


def dcmtk(name: str, *arguments: object) -> str:
    """The output of a dcmtk program; skips the test where it is not installed."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: apt-get install dcmtk")
    command = [program, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return (done.stdout + done.stderr).decode("latin-1")


def dump_of(file: Path, name: str) -> str:
    """The file as text that `dump2dcm` reads, as an instance of the series `name`."""
    text = dcmtk("dcmdump", "+L", file) + SEQUENCES
    series, instance = mint_uid("series", name), mint_uid("instance", name, file.name)
    text = re.sub(r"(\(0020,000e\) UI) \[.*\]", rf"\1 [{series}]", text)
    return re.sub(r"(\(000[28],00(?:03|18)\) UI) \[.*\]", rf"\1 [{instance}]", text)


def written(dump: str, file: Path, *options: object) -> Path:
    """The dump as a DICOM file."""
    text = file.with_suffix(".txt")
    text.write_text(dump, encoding="latin-1")
    dcmtk("dump2dcm", "+l", 30_000, *options, text, file)
    assert file.is_file()
    return file


LEGAL = {
    "lengths": ("+e",),
    "no lengths": ("-e",),
    "group lengths": ("+g",),
    "padding": ("+p", 4096, 64),
    "no new representations": ("-u", "-e"),
    "implicit, no lengths": ("+ti", "-e"),
    "implicit, group lengths": ("+ti", "+g"),
    "big endian": ("+tb", "+e"),
    "big endian, no lengths, group lengths": ("+tb", "-e", "+g"),
    "deflated, not smaller": ("+td", "+cl", 0),
    "deflated, no lengths, group lengths": ("+td", "+cl", 9, "-e", "+g"),
    "deflated, padding": ("+td", "+p", 4096, 64),
}


@pytest.mark.parametrize("name", LEGAL)
def test_unusual_but_legal_files_are_stored_and_read(
    listener: ListenerProcess, data_dir: Path, slices: list[Path], tmp_path: Path, name: str
) -> None:
    files = [written(dump_of(file, name), tmp_path / file.name, *LEGAL[name]) for file in slices]
    with RawPeer.associated(listener.tls_port) as peer:
        for file in files:
            one = received_from_file(file, Origin(Channel.FOLDER, "dcmtk"))
            pdus = c_store(one.dataset, one.sop_instance_uid, one.transfer_syntax_uid)
            assert peer.status(pdus) == StoreStatus.SUCCESS
    # dcmsend encodes again what it sends: the same instances arrive in another encoding.
    assert len(dcmsend(files, listener.port).acknowledged) == SLICES
    kept = stored(data_dir, mint_uid("series", name))
    assert len(kept) == SLICES
    voxels, expected = read_series(kept).volume.array, read_series(slices).volume.array
    assert np.array_equal(voxels, expected)


def replaced(tag: str, content: str) -> Callable[[str], str]:
    """Replaces the line of a tag in a dump; removes it where `content` is empty."""
    return lambda dump: re.sub(rf"^\({tag}\).*\n", content, dump, flags=re.MULTILINE)


def without_series(dump: str) -> str:
    return replaced("0020,0052", "")(replaced("0020,000e", "")(dump))


ILLEGAL: dict[str, tuple[Callable[[str], str], StoreStatus]] = {
    "a path as instance": (
        replaced("0008,0018", "(0008,0018) UI [../../x]\n"),
        StoreStatus.CANNOT_UNDERSTAND,
    ),
    "a path as series": (
        replaced("0020,000e", "(0020,000e) UI [/tmp/x]\n"),
        StoreStatus.CANNOT_UNDERSTAND,
    ),
    "10,000 characters": (
        replaced("0020,000d", f"(0020,000d) UI [{'1.' * 5000}1]\n"),
        StoreStatus.CANNOT_UNDERSTAND,
    ),
    "two series": (
        replaced("0020,000e", "(0020,000e) UI [1.2.3\\\\1.2.4]\n"),
        StoreStatus.CANNOT_UNDERSTAND,
    ),
    "no series": (without_series, StoreStatus.CANNOT_UNDERSTAND),
    "another class": (
        replaced("0008,0016", "(0008,0016) UI =MRImageStorage\n"),
        StoreStatus.DOES_NOT_MATCH,
    ),
    "another instance": (
        replaced("0008,0018", "(0008,0018) UI [1.2.3]\n"),
        StoreStatus.DOES_NOT_MATCH,
    ),
    "no instance": (replaced("0008,0018", ""), StoreStatus.COMPLETED_UIDS),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_files_are_answered_with_the_documented_status(
    listener: ListenerProcess, slices: list[Path], tmp_path: Path, name: str
) -> None:
    change, status = ILLEGAL[name]
    file = written(change(dump_of(slices[0], name)), tmp_path / "illegal.dcm", "-F")
    uid = mint_uid("instance", name, slices[0].name)
    with RawPeer.associated(listener.tls_port) as peer:
        assert peer.status(c_store(file.read_bytes(), uid)) == status


BROKEN: dict[str, tuple[tuple[str, ...], str, Callable[[bytes], bytes]]] = {
    "big endian said to be little": (("+tb",), EXPLICIT, bytes),
    "implicit said to be explicit": (("+ti",), EXPLICIT, bytes),
    "explicit said to be implicit": (("+te",), IMPLICIT, bytes),
    "little endian said to be big": (("+te",), BIG_ENDIAN, bytes),
    "said to be deflated": (("+te",), DEFLATED, bytes),
    "deflated and cut off": (("+td",), DEFLATED, lambda whole: whole[:-40]),
    "cut off in its head": (("+te",), EXPLICIT, lambda whole: whole[:300]),
    "a sequence without end": (
        ("+te", "-e"),
        EXPLICIT,
        lambda whole: whole.replace(b"\xfe\xff\xdd\xe0\0\0\0\0", b""),
    ),
    "items without end": (
        ("+te", "-e"),
        EXPLICIT,
        lambda whole: whole.replace(b"\xfe\xff\x0d\xe0\0\0\0\0", b""),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_data_sets_in_another_encoding_than_declared_are_refused(
    listener: ListenerProcess, slices: list[Path], tmp_path: Path, name: str
) -> None:
    options, syntax, breaking = BROKEN[name]
    file = written(dump_of(slices[0], name), tmp_path / "broken.dcm", "-F", *options)
    uid = mint_uid("instance", name, slices[0].name)
    with RawPeer.associated(listener.tls_port) as peer:
        answer = peer.status(c_store(breaking(file.read_bytes()), uid, syntax))
    assert answer == StoreStatus.CANNOT_UNDERSTAND
