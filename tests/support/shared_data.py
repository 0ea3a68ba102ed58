"""Where the real test data lies; a test that needs it is skipped with the way to get it."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def shared_data() -> Path:
    """The folder of real test series; skips the test where it is absent.

    `SEGNODE_DATA` names it, otherwise it is `../shared/data` from the project's root.
    """
    named = os.environ.get("SEGNODE_DATA")
    folder = Path(named) if named else _ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}: set SEGNODE_DATA to the folder that holds ct/")
    return folder


def ct_files(name: str) -> list[Path]:
    """The DICOM files of one real series under `ct/`, in no particular order of position."""
    folder = shared_data() / "ct" / name
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_part10(path))
    if not files:
        pytest.skip(f"no DICOM files in {folder}")
    return files


def is_part10(path: Path) -> bool:
    """Whether the file carries the DICM prefix at byte 128 (PS3.10 7.1)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"
