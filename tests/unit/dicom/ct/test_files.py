"""The search for DICOM files skips other files and reports data sets without a header."""

from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from node.dicom.ct.files import find_dicom_files
from node.domain.errors import Rejected
from tests.support.dicom.builders import ct_series


def test_files_without_a_file_header_are_reported_and_not_skipped(tmp_path: Path) -> None:
    (first, *others) = ct_series().write(tmp_path / "ct")
    assert find_dicom_files([tmp_path / "ct"]) == sorted([first, *others])
    bare = Dataset(dcmread(first))
    dcmwrite(first, bare, implicit_vr=False, little_endian=True)
    with pytest.raises(Rejected, match=r"1 files, .* without a file header"):
        find_dicom_files([tmp_path / "ct"])
    first.write_text("notes of the study " * 20, encoding="utf-8")
    assert find_dicom_files([tmp_path / "ct"]) == sorted(others)


def test_a_file_that_is_not_dicom_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(Rejected, match=r"Not a DICOM file: .*notes\.txt\."):
        find_dicom_files([tmp_path / "notes.txt"])
    with pytest.raises(Rejected, match="There are no DICOM files in"):
        find_dicom_files([tmp_path])
