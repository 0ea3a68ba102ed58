"""A real Orthanc for the tests in this folder."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing

HOOK = Path(__file__).resolve().parents[2] / "orthanc" / "on_stable_series.py"

StartOrthanc = Callable[..., OrthancPacs]


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
