"""Malicious instances, sent to a listener process: one without TLS, the next one by TLS."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.dicom.ct.reader import read_series
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.series import SeriesState
from node.intake.dataset_elements import Encoding, iter_elements
from node.jobs.series_completion import SeriesCompletion
from node.routing.conditions import Equals
from node.routing.rules import Rule
from node.store import Store
from pacs_listener.store_status import StoreStatus
from tests.support.dicom import nested_sequences as nested
from tests.support.dicom.invalid_uids import (
    INVALID_UIDS,
    SERIES,
    SOP,
    STUDY,
    dataset_with_uid,
    padded,
)
from tests.support.factories import EXPLICIT, encoded
from tests.support.peers.raw_peer import RawPeer
from tests.support.peers.secure_port import TlsSite
from tests.support.peers.upper_layer import (
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT,
    SOP_INSTANCE,
    c_store,
)
from tests.support.processes.listener_process import ListenerProcess
from tests.support.processes.resources_in_use import peak_memory_mib

# Above the memory after the first instance; the largest of these attacks has 4 MiB.
MAX_GROWTH_MIB = 128
DEEP = 10_000
REFUSED = {int(StoreStatus.CANNOT_UNDERSTAND), int(StoreStatus.DOES_NOT_MATCH)}


@dataclass
class Site:
    """A listener, and the folder that must contain everything it writes."""

    root: Path
    process: ListenerProcess
    accepted: int = 0
    sent: int = 0

    @property
    def data_dir(self) -> Path:
        return self.root / "at" / "a" / "site" / "data"

    def status(
        self, dataset: bytes, uid: str, syntax: str = EXPLICIT, *, named: bytes | None = None
    ) -> int | None:
        """The status of a C-STORE; `named` replaces the SOP Instance UID in its command."""
        elements = {} if named is None else {SOP_INSTANCE: named}
        self.sent += 1
        port = self.process.tls_port if self.sent % 2 else self.process.port
        with RawPeer.associated(port) as peer:
            return peer.status(c_store(dataset, uid, syntax, elements))

    def store(self) -> Store:
        """The index of the listener."""
        return Store.open(f"sqlite:///{self.data_dir / 'segnode.db'}", self.data_dir)

    def part10_bytes(self, uid: str) -> Path:
        """The path of a stored instance."""
        with closing(self.store()) as store:
            found = store.find_instance(Uid(uid))
        assert found is not None
        return found.instance.path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, certificates: TlsSite) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("outside")
    with ListenerProcess(root / "at" / "a" / "site" / "data", tls=certificates) as process:
        yield Site(root, process)


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """A listener that must accept instances after each test, and must not have grown."""
    accept_one(running)
    pid = running.process.process.pid
    before = peak_memory_mib(pid)
    yield running
    assert peak_memory_mib(pid) - before < MAX_GROWTH_MIB
    accept_one(running)
    assert {path.relative_to(running.root) for path in outside(running)} == {
        Path("at"),
        Path("at/a"),
        Path("at/a/site"),
        Path("at/a/site/segnode.toml"),
        Path("at/a/site/data"),
    }


def accept_one(site: Site) -> None:
    """Sends a valid instance."""
    site.accepted += 1
    uid = f"1.2.4.{site.accepted}"
    fine = encoded(sop_instance_uid=uid, series_instance_uid="1.2.4")
    assert site.status(fine, uid) == StoreStatus.SUCCESS


def outside(site: Site) -> Iterator[Path]:
    """Every path outside the data folder."""
    for path in site.root.rglob("*"):
        if site.data_dir not in path.parents:
            yield path


@pytest.mark.parametrize("uid", INVALID_UIDS.values(), ids=INVALID_UIDS)
def test_an_invalid_uid_never_becomes_a_file_name(site: Site, uid: bytes) -> None:
    for tag in (SOP, STUDY, SERIES):
        assert site.status(dataset_with_uid(tag, uid), "1.2.3.1") == StoreStatus.CANNOT_UNDERSTAND
    # A command that cannot be decoded ends the association.
    answers = REFUSED | {None}
    assert site.status(dataset_with_uid(SOP, b"1.2.3.1"), "", named=padded(uid)) in answers
    assert site.status(dataset_with_uid(SOP, uid), "", named=padded(uid)) in answers
    # The UID of the command is written into a data set that has none.
    assert site.status(dataset_with_uid(SOP, b""), "", named=padded(uid)) in answers


def bomb(before: bytes) -> bytes:
    """A deflated data set: `before`, followed by 4 GiB of zeros."""
    zeros = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = zeros.compress(bytes(64 << 20)) + zeros.flush(zlib.Z_FULL_FLUSH)
    start = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = start.compress(before) + start.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, wbits=-zlib.MAX_WBITS).flush()
    # A block that refers to no earlier data can be repeated any number of times.
    return head + block * 64 + end


@pytest.mark.parametrize("head", [b"", encoded()], ids=["before its UIDs", "after them"])
def test_a_data_set_that_inflates_to_gigabytes_is_refused(site: Site, head: bytes) -> None:
    element = struct.pack("<HH2sHI", 0x7FE1 if head else 0x0007, 0x0010, b"OB", 0, 0xFFFFFFF0)
    deflated = bomb(head + element)
    assert len(deflated) < 5 << 20
    assert site.status(deflated, "1.2.3.1", DEFLATED) == StoreStatus.CANNOT_UNDERSTAND


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("length", [1000, 0x7FFFFFFF, 0xFFFFFFFE])
def test_an_element_length_beyond_the_end_is_refused(site: Site, syntax: str, length: int) -> None:
    encoding = Encoding.for_transfer_syntax(syntax)
    whole = encoded(transfer_syntax_uid=syntax)
    series = next(e for e in iter_elements(whole, encoding) if e.tag == SERIES)

    def longer(tag: int) -> bytes:
        order = "<" if encoding.little else ">"
        head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
        if encoding.explicit:
            head += b"UN\0\0"
        return head + struct.pack(f"{order}I", length) + b"few"

    for dataset in (
        longer(0x00080001) + whole,
        whole[: series.offset] + longer(SERIES),
        whole[: series.end] + longer(0x0020000F),
    ):
        assert site.status(dataset, "1.2.3.1", syntax) == StoreStatus.CANNOT_UNDERSTAND


def with_element(dataset: bytes, tag: int, element: bytes) -> bytes:
    """The data set with another element, in tag order."""
    at = next(
        (
            e.offset
            for e in iter_elements(dataset, Encoding.for_transfer_syntax(EXPLICIT))
            if e.tag > tag
        ),
        len(dataset),
    )
    return dataset[:at] + element + dataset[at:]


def test_deeply_nested_sequences_before_the_uids_are_refused(site: Site) -> None:
    for tag in (0x00080006, 0x00081111):
        deep = with_element(encoded(), tag, nested.with_undefined_length(tag, DEEP))
        assert site.status(deep, "1.2.3.1") == StoreStatus.CANNOT_UNDERSTAND
        never_closed = with_element(
            encoded(), tag, nested.with_undefined_length(tag, DEEP)[:200_000]
        )
        assert site.status(never_closed, "1.2.3.1") == StoreStatus.CANNOT_UNDERSTAND


DEEPLY_NESTED: dict[str, tuple[int, nested.Nesting]] = {
    "before the UIDs, with lengths": (0x00081111, nested.with_defined_length),
    "before the UIDs, hidden": (0x00081111, nested.with_defined_outer_length),
    "after them": (0x00209221, nested.with_undefined_length),
    "after them, with lengths": (0x00400275, nested.with_defined_length),
    "after them, hidden": (0x00400275, nested.with_defined_outer_length),
    "what all frames share": (0x52009229, nested.with_undefined_length),
    "what all frames share, hidden": (0x52009229, nested.with_defined_outer_length),
}


@pytest.mark.parametrize(
    ("number", "where"), list(enumerate(DEEPLY_NESTED)), ids=list(DEEPLY_NESTED)
)
def test_deep_nesting_that_the_listener_skips_is_refused_by_the_reader(
    site: Site, number: int, where: str
) -> None:
    tag, nesting = DEEPLY_NESTED[where]
    series = f"1.2.5.{number}"
    for instance in ("1", "2"):
        uid = f"{series}.{instance}"
        whole = encoded(
            sop_instance_uid=uid, series_instance_uid=series, attributes={"SeriesNumber": "1"}
        )
        deep = with_element(whole, tag, nesting(tag, DEEP))
        assert site.status(deep, uid) == StoreStatus.SUCCESS
    with pytest.raises(Rejected, match="nested too deeply") as refused:
        read_series([site.part10_bytes(f"{series}.1"), site.part10_bytes(f"{series}.2")])
    assert refused.value.reason is RejectionReason.UNREADABLE
    with closing(site.store()) as store:
        decide_all(store)
        found = store.get_series(Uid(series))
        assert found is not None
        assert found.state in {SeriesState.ACCEPTED, SeriesState.IGNORED}
        assert all(event.event != "defect" for event in store.history_of(series))


def decide_all(store: Store) -> None:
    """Decides every received series, as a worker does once they are complete."""
    rule = Rule("liver", "liver-ct", ("pacs",), Equals("Modality", "CT"), 0.0)
    later = datetime.now(UTC) + timedelta(hours=1)
    SeriesCompletion(
        store=store,
        rules=(rule,),
        quiet_seconds=0.0,
        installed_version=lambda _: "1.0",
        now=lambda: later,
    ).poll()
