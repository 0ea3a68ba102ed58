"""Elements that headers have in common are decoded once, and belong to each header."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.ct.headers import load_headers
from tests.support.dicom.builders import ct_series


def different_texts(index: int, dataset: Dataset) -> None:
    """The same bytes are another text in another character set."""
    dataset.SpecificCharacterSet = ["ISO_IR 100", "ISO_IR 144"][index % 2]
    dataset.add_new("StationName", "SH", b"\xd8\xe0")
    dataset.add_new("PixelPaddingValue", "US", 63536)
    dataset.PixelRepresentation = index % 2  # decides on the VR of the padding value
    block = dataset.private_block(0x0019, "MAKER 1", create=True)
    block.add_new(0x01, "LO", f"value {index % 3}")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_every_header_is_as_pydicom_reads_it_alone(syntax: str, tmp_path: Path) -> None:
    paths = ct_series(transfer_syntax_uid=syntax).modify(different_texts).write(tmp_path)
    headers = load_headers(paths)
    assert [list(header) for header in headers] == [list(dcmread(path)) for path in paths]
    assert len({h.StationName for h in headers}) == 2
    assert [(e.VR, e.file_tell) for h in headers for e in h] == [
        (e.VR, e.file_tell) for path in paths for e in dcmread(path)
    ]


def test_a_changed_header_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    first, *others = load_headers(ct_series().write(tmp_path))
    assert first.Modality == "CT"
    first.Modality = "MR"
    assert {other.Modality for other in others} == {"CT"}
