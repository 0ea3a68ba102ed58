"""A real Orthanc for the tests in this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.query import FoundSeries
from tests.support.servers.fetching_node import (
    FetchingNode,
    fetching_node,
    orthanc_options,
    small,
    store_in,
)

HOOK = Path(__file__).resolve().parents[2] / "orthanc" / "on_stable_series.py"

StartOrthanc = Callable[..., OrthancPacs]
OpenSite = Callable[..., FetchingNode]


@pytest.fixture
def start_orthanc(tmp_path: Path) -> Iterator[StartOrthanc]:
    """Starts an Orthanc with the options of `OrthancPacs`; all are killed after the test."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    with ExitStack() as stack:
        count = 0

        def start(**options: Any) -> OrthancPacs:
            nonlocal count
            count += 1
            pacs = OrthancPacs(tmp_path / f"orthanc-{count}", **options)
            pacs.start()
            # An orderly stop takes 3 s, and no test needs the files afterwards.
            stack.callback(pacs.kill)
            return pacs

        yield start


@pytest.fixture
def orthanc(start_orthanc: StartOrthanc) -> OrthancPacs:
    """An Orthanc with DICOMweb that takes instances from every AE title."""
    return start_orthanc()


def log_of(pacs: OrthancPacs) -> str:
    """The log of Orthanc and of the hook in it."""
    return pacs.log_file.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def open_site(start_orthanc: StartOrthanc, tmp_path: Path) -> Iterator[OpenSite]:
    """Starts an Orthanc that knows the node, and a node that queries it."""
    with ExitStack() as stack:

        def start(*, knows_us: bool = True, listens: bool = True) -> FetchingNode:
            (port,) = free_ports(1)
            orthanc = start_orthanc(**orthanc_options(port, knows_us=knows_us))
            return stack.enter_context(fetching_node(tmp_path, orthanc, port, listens=listens))

        yield start


@pytest.fixture
def site(open_site: OpenSite) -> FetchingNode:
    """A node that queries and retrieves, and its Orthanc."""
    return open_site()


@pytest.fixture
def stored(site: FetchingNode, tmp_path: Path) -> FoundSeries:
    """A series in the Orthanc of `site`."""
    return store_in(
        site.orthanc,
        small("one"),
        tmp_path / "one",
        PatientID="P-1",
        AccessionNumber="A-1",
        StudyDate="20260110",
    )
