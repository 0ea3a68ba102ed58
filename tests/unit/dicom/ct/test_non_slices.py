"""Localizers, captures and reports among the slices are left out; nothing else is."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

from node.dicom.ct.non_slices import representative_header
from node.dicom.ct.reader import read_series
from node.domain.errors import RejectionReason
from tests.support.dicom.body import body, grid
from tests.support.dicom.builders import CtFiles, ct_series
from tests.support.peers.refusing_peer import only, refusal


def with_page(page: Dataset, *, missing: tuple[int, ...] = ()) -> CtFiles:
    """Returns the slices of the body with one more object in their series."""
    slices = ct_series(missing=missing).datasets
    page.SOPInstanceUID = UID("1.2.3.9")
    page.file_meta.MediaStorageSOPInstanceUID = page.SOPInstanceUID
    return CtFiles((page, *slices))


def page(sop_class: UID) -> Dataset:
    """Returns an object without geometry that belongs to the series."""
    found = ct_series().datasets[0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID"):
        del found[keyword]
    found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = sop_class
    return found


@pytest.mark.parametrize(
    ("sop_class", "expected"),
    [
        (SecondaryCaptureImageStorage, "secondary capture"),
        (XRayRadiationDoseSRStorage, "dose report"),
        (BasicTextSRStorage, "report"),
    ],
)
@pytest.mark.parametrize("modality", ["CT", "OT", "SR"])
def test_an_object_that_holds_no_slices_is_left_out(
    tmp_path: Path, sop_class: UID, expected: str, modality: str
) -> None:
    extra = page(sop_class)
    extra.Modality = modality
    series = read_series(with_page(extra).write(tmp_path))
    assert series.excluded == (expected,)
    assert series.slice_count == len(series.sources) == 24
    assert (series.volume.array == body(grid()).array).all()


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        (["DERIVED", "SECONDARY", "SCREEN SAVE"], "screen shot"),
        (["DERIVED", "SECONDARY", "DOSE_INFO"], "dose page"),
    ],
)
def test_a_page_in_a_ct_object_is_left_out(
    tmp_path: Path, image_type: list[str], expected: str
) -> None:
    extra = ct_series().datasets[4]
    extra.ImageType = image_type
    extra.Rows, extra.Columns = 20, 96  # as many pixels
    series = read_series(with_page(extra).write(tmp_path))
    assert series.excluded == (expected,)
    np.testing.assert_allclose(series.volume.affine, grid().affine, atol=1e-9)


def test_a_colour_picture_among_the_slices_is_left_out(tmp_path: Path) -> None:
    extra = ct_series().datasets[0]
    extra.SamplesPerPixel = 3
    assert read_series(with_page(extra).write(tmp_path)).excluded == ("screen shot",)


def test_localizers_at_the_ends_of_the_series_are_left_out(tmp_path: Path) -> None:
    series = read_series(ct_series(localizer=[0, 1]).write(tmp_path))
    assert series.slice_count == 22
    assert series.excluded == ("localizer", "localizer")


def test_a_page_does_not_stand_for_a_missing_slice(tmp_path: Path) -> None:
    files = with_page(page(SecondaryCaptureImageStorage), missing=(7,))
    message = refusal(files.write(tmp_path / "capture"), RejectionReason.MISSING_SLICES)
    assert "1 of 24 slices did not arrive" in message
    # An image that says it is a localizer does not replace the slice at its position.
    files = ct_series(localizer=[7])
    refusal(files.write(tmp_path / "localizer"), RejectionReason.MISSING_SLICES)


def test_a_slice_of_another_modality_is_not_left_out(tmp_path: Path) -> None:
    def to_mr(dataset: Dataset) -> None:
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
        dataset.Modality = "MR"

    files = ct_series().modify(only(3, to_mr))
    refusal(files.write(tmp_path), RejectionReason.NOT_CT)


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID"])
def test_a_page_of_another_patient_or_study_shows_that_the_series_is_mixed_up(
    tmp_path: Path, keyword: str
) -> None:
    extra = page(SecondaryCaptureImageStorage)
    setattr(extra, keyword, "1.2.3.4711")
    refusal(with_page(extra).write(tmp_path), RejectionReason.MIXED_GEOMETRY)


def test_a_series_of_localizers_and_captures_is_refused(tmp_path: Path) -> None:
    files = ct_series(localizer=range(24)).modify(
        only(3, lambda dataset: setattr(dataset, "SOPClassUID", SecondaryCaptureImageStorage))
    )
    refusal(files.write(tmp_path), RejectionReason.NOT_CT)


def test_the_header_of_a_slice_stands_for_the_series() -> None:
    localizers = ct_series(localizer=range(24)).datasets
    slices = ct_series().datasets
    assert representative_header([*localizers, *slices]) is slices[0]
    assert representative_header(localizers) is localizers[0]
    assert representative_header([]) == Dataset()


def test_an_object_whose_image_type_cannot_be_read_counts_as_a_slice() -> None:
    damaged = ct_series().datasets[0]
    tag = Tag("ImageType")
    damaged[tag] = RawDataElement(tag, "UL", 3, b"abc", 0, False, True)
    assert representative_header([damaged]) is damaged
