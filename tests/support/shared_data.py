"""The folder of real test data; tests that need it are skipped with a hint if it is missing."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


def shared_data() -> Path:
    """Returns the folder of real test series; skips the test if it does not exist.

    `SEGNODE_DATA` names it, otherwise it is `../shared/data` from the project's root.
    """
    named = os.environ.get("SEGNODE_DATA")
    folder = Path(named) if named else _ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}: set SEGNODE_DATA to the folder that holds ct/")
    return folder


def ct_files(name: str) -> list[Path]:
    """Returns the DICOM files of one real series under `ct/`, sorted by name, not by position."""
    folder = shared_data() / "ct" / name
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_part10(path))
    if not files:
        pytest.skip(f"no DICOM files in {folder}")
    return files


def is_part10(path: Path) -> bool:
    """Whether the file has the DICM prefix at byte 128 (PS3.10 7.1)."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"
