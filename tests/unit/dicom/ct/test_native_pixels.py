"""Uncompressed pixels read from their files have the values that pydicom's decoder gives."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from node.dicom.ct import pixels
from node.dicom.ct.frames import Slice, slices_of
from node.dicom.ct.headers import load_headers
from node.dicom.ct.native_pixels import native_pixels
from node.dicom.ct.pixels import read_hounsfield
from node.domain.errors import Rejected
from tests.support.dicom.body import AXIAL, grid
from tests.support.dicom.builders import ct_series, enhanced_of

# Large enough that the reader leaves the pixels in the file.
GRID = grid(AXIAL, slices=4, rows=160, columns=160)


@dataclass(frozen=True)
class Form:
    """How pixels are stored: any 16 bits, so that unused bits hold anything."""

    signed: bool = False
    bits_stored: int = 12
    slope: str = "1"
    intercept: str = "-1024"
    padding: tuple[int, int] | None = None


FORMS = [
    Form(),
    Form(bits_stored=16),
    Form(signed=True, intercept="0"),
    Form(signed=True, bits_stored=16),
    Form(slope="2", intercept="-8192"),
    Form(slope="-3", intercept="100"),
    Form(slope="16", bits_stored=16),
    Form(slope="70000", intercept="-70000"),
    Form(slope="0.5", intercept="-1000.25"),
    Form(padding=(0, 100)),
    Form(signed=True, bits_stored=16, intercept="0", padding=(63536, 63536)),
]


def stored_as(form: Form) -> Callable[[int, Dataset], None]:
    def change(index: int, dataset: Dataset) -> None:
        random = np.random.default_rng(index).integers(0, 1 << 16, 160 * 160, dtype=np.uint16)
        dataset.PixelData = random.astype("<u2").tobytes()
        dataset.PixelRepresentation = int(form.signed)
        dataset.BitsStored, dataset.HighBit = form.bits_stored, form.bits_stored - 1
        dataset.RescaleSlope, dataset.RescaleIntercept = form.slope, form.intercept
        if form.padding is not None:
            dataset.add_new("PixelPaddingValue", "US", form.padding[0])
            dataset.add_new("PixelPaddingRangeLimit", "US", form.padding[1])

    return change


def slices_from(paths: list[Path]) -> tuple[Slice, ...]:
    return tuple(slice_ for header in load_headers(paths) for slice_ in slices_of(header))


def reference(slices: tuple[Slice, ...], monkeypatch: pytest.MonkeyPatch) -> NDArray[np.generic]:
    """Returns the values that pydicom's decoder and arithmetic in 64 bits give."""
    with monkeypatch.context() as patch:
        patch.setattr(pixels, "native_pixels", lambda _header: None)
        patch.setattr(pixels, "_MIN_INT16", 1)  # the arithmetic in 16 bits is never used
        return read_hounsfield(slices)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_values_are_those_of_the_decoder(
    form: Form, syntax: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = ct_series(geometry=GRID, transfer_syntax_uid=syntax).modify(stored_as(form))
    paths = series.write(tmp_path)
    found = slices_from(paths)
    expected = reference(slices_from(paths), monkeypatch)
    monkeypatch.setattr(pixels, "iter_pixels", None)  # the decoder is not used
    values = read_hounsfield(found)
    assert values.dtype == expected.dtype
    assert (values == expected).all()


def test_frames_are_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    singles = ct_series(geometry=GRID).modify(stored_as(Form())).datasets
    path = tmp_path / "enhanced.dcm"
    enhanced_of(singles).save_as(path, enforce_file_format=True)
    expected = reference(slices_from([path])[::-1], monkeypatch)
    found = slices_from([path])[::-1]
    assert (read_hounsfield(found) == expected).all()
    assert native_pixels(found[0].header) is not None  # its pixel data are still in the file


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BitsAllocated", 8),
        ("SamplesPerPixel", 3),
        ("PhotometricInterpretation", "RGB"),
        ("PixelRepresentation", 2),
        ("BitsStored", 17),
        ("HighBit", 15),
        ("NumberOfFrames", 2),
        ("Rows", 159),
        ("PixelData", b"\0" * 51202),
    ],
)
def test_any_other_form_is_left_to_the_decoder(keyword: str, value: object, tmp_path: Path) -> None:
    def change(_index: int, dataset: Dataset) -> None:
        setattr(dataset, keyword, value)

    (header, *_others) = load_headers(ct_series(geometry=GRID).modify(change).write(tmp_path))
    assert native_pixels(header) is None


def test_compressed_pixels_are_left_to_the_decoder(tmp_path: Path) -> None:
    (header, *_others) = load_headers(ct_series(geometry=GRID).write(tmp_path))
    header.file_meta.TransferSyntaxUID = RLELossless
    assert native_pixels(header) is None


@pytest.mark.parametrize("loss", ["cut off", "deleted"])
def test_a_file_that_loses_its_pixels_meanwhile_is_refused(loss: str, tmp_path: Path) -> None:
    paths = ct_series(geometry=GRID).write(tmp_path)
    found = slices_from(paths)
    if loss == "deleted":
        paths[2].unlink()
    else:
        modified_ns = paths[2].stat().st_mtime_ns  # pydicom warns of a change
        os.truncate(paths[2], paths[2].stat().st_size - 100)
        os.utime(paths[2], ns=(modified_ns, modified_ns))
    with pytest.raises(Rejected, match="cannot be read: the image is damaged"):
        read_hounsfield(found)
