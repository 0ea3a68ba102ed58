"""The RT Structure Set has the contours of the mask, declares its origin and is reproducible."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian, RTStructureSetStorage

from models.manifest import Label
from models.mask import Mask
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.content import ResultContent
from node.dicom.results.contours.structure_set import encode
from node.domain.errors import Rejected, RejectionReason
from node.domain.findings import Finding, FindingKind
from node.domain.identifiers import Uid
from node.domain.job import ReplacedResult
from node.domain.result_objects import ObjectUids, ResultKind, ResultObject
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    SAGITTAL,
    Directions,
    grid,
    in_liver,
    oblique,
    voxel_positions,
)
from tests.support.dicom.builders import LIVER, SPLEEN, ct_series, enhanced_ct, legacy_converted
from tests.support.dicom.rasterised import rasterised
from tests.support.dicom.results import content_of, liver_mask, part10
from tests.support.dicom.source_slices import liver_on_source_slices

RTSTRUCT = ResultObject(ResultKind.RTSTRUCT)
# A hole with an island in it, pixels that touch at a corner, and one pixel alone.
ODD_PIXELS = np.array(
    [
        [1, 1, 1, 1, 1, 0, 1],
        [1, 0, 0, 0, 1, 0, 0],
        [1, 0, 1, 0, 1, 1, 0],
        [1, 0, 0, 0, 1, 0, 1],
        [1, 1, 1, 1, 1, 0, 0],
    ],
    dtype=np.uint8,
)


def encoded(content: ResultContent) -> Dataset:
    """The structure set as a receiver reads it."""
    (dataset,) = encode(content, RTSTRUCT)
    return dcmread(BytesIO(part10(dataset)))


def with_odd_pixels(mask: Mask) -> Mask:
    """The mask with difficult pixels in a corner of some slices, up to the border of the image."""
    values = mask.volume.array.copy()
    rows, columns = ODD_PIXELS.shape
    for k in range(0, len(values), 3):
        values[k, :rows, :columns] = ODD_PIXELS
    values[-1, -rows:, -columns:] = ODD_PIXELS
    return Mask(volume=mask.volume.with_array(values), labels=mask.labels)


def voxels_of(dataset: Dataset, series: CtSeries, item: int = 0) -> NDArray[np.bool_]:
    return rasterised(dataset.ROIContourSequence[item].ContourSequence, series)


def all_contours(dataset: Dataset) -> list[Dataset]:
    return [c for roi in dataset.ROIContourSequence for c in roi.ContourSequence]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return read_series(ct_series(oblique()).write(tmp_path_factory.mktemp("ct")))


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(SAGITTAL, id="sagittal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_filling_the_contours_gives_the_mask(directions: Directions, tmp_path: Path) -> None:
    geometry = grid(directions, spacing_mm=(5.0, 2.7, 3.1))  # pixels that are not square
    series = read_series(ct_series(geometry=geometry).write(tmp_path))
    mask = with_odd_pixels(liver_mask(series))
    found = voxels_of(encoded(content_of(series, mask)), series)
    np.testing.assert_array_equal(found, mask.of(LIVER))
    assert found.sum() > 500


@pytest.mark.parametrize("object_type", ["enhanced", "legacy converted"])
def test_contours_on_a_multi_frame_source_refer_to_its_frames(
    object_type: str, tmp_path: Path
) -> None:
    path = tmp_path / "enhanced.dcm"
    source = (
        enhanced_ct(oblique(), frame_order=[*range(12, 24), *range(12)])
        if object_type == "enhanced"
        else legacy_converted(ct_series(oblique()))
    )
    source.save_as(path, enforce_file_format=True)
    series = read_series([path])
    mask = with_odd_pixels(liver_mask(series))
    dataset = encoded(content_of(series, mask))
    np.testing.assert_array_equal(voxels_of(dataset, series), mask.of(LIVER))
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    (image,) = study.RTReferencedSeriesSequence[0].ContourImageSequence
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "ReferencedFrameNumber" not in image  # all frames


def test_contours_of_a_resampled_series_are_on_the_true_slices(tmp_path: Path) -> None:
    thin = grid(slices=60, spacing_mm=(2.5, 3.0, 3.0))
    series = read_series(ct_series(geometry=thin, jitter_mm=0.2).write(tmp_path))
    assert series.is_resampled
    found = voxels_of(encoded(content_of(series)), series)
    differing = 0
    for k, source in enumerate(series.sources):
        affine = thin.affine.copy()
        affine[:3, 3] = source.ImagePositionPatient
        ground_truth = in_liver(voxel_positions(hd.VolumeGeometry(affine, (1, 40, 48), "PATIENT")))
        differing += int((found[k] != ground_truth[0]).sum())
    # The even slices of the mask are up to 0.1 mm away: only surface voxels may differ.
    assert differing < 0.02 * int(in_liver(voxel_positions(thin)).sum())


def test_contours_of_a_tilted_series_are_on_the_tilted_slices(tmp_path: Path) -> None:
    series = read_series(ct_series(tilt_degrees=18.5).write(tmp_path))
    assert series.grid.is_sheared
    found = voxels_of(encoded(content_of(series)), series)
    assert (found == liver_on_source_slices(series)).all()


def test_contours_have_the_exact_position_of_an_axial_slice(tmp_path: Path) -> None:
    geometry = grid(centre=(1.23456, -7.654321, 2.123456789))
    series = read_series(ct_series(geometry=geometry).write(tmp_path))
    position_of = {s.SOPInstanceUID: s.ImagePositionPatient[2] for s in series.sources}
    for contour in all_contours(encoded(content_of(series))):
        uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
        assert set(contour.ContourData[2::3]) == {position_of[uid]}


def test_every_coordinate_fits_a_decimal_string(series: CtSeries) -> None:
    for contour in all_contours(encoded(content_of(series))):
        # As it is in the file.
        texts = [value.original_string for value in contour.ContourData]
        assert max(map(len, texts)) <= 16
        assert all("e" not in text and text != "-0.0" for text in texts)


def test_a_contour_that_is_too_long_for_one_value_is_cut(tmp_path: Path) -> None:
    size = 300
    geometry = grid(slices=10, rows=size, columns=size, spacing_mm=(10.0, 0.4, 0.4))
    series = read_series(ct_series(geometry=geometry).write(tmp_path))
    values = np.zeros(series.volume.shape, dtype=np.uint8)
    values[4] = np.random.default_rng(3).random((size, size)) < 0.75
    mask = Mask(volume=series.volume.with_array(values), labels=(LIVER,))
    dataset = encoded(content_of(series, mask))
    contours = all_contours(dataset)
    lengths = [len("\\".join(v.original_string for v in c.ContourData)) for c in contours]
    assert 30_000 < max(lengths) <= 65_534
    assert all(c["ContourData"].VR == "DS" for c in contours)  # too long a value becomes unknown
    np.testing.assert_array_equal(voxels_of(dataset, series), mask.of(LIVER))


def test_every_source_image_is_referenced(series: CtSeries) -> None:
    dataset = encoded(content_of(series))
    (frame_of_reference,) = dataset.ReferencedFrameOfReferenceSequence
    first = series.sources[0]
    assert frame_of_reference.FrameOfReferenceUID == first.FrameOfReferenceUID
    (study,) = frame_of_reference.RTReferencedStudySequence
    assert study.ReferencedSOPInstanceUID == first.StudyInstanceUID
    (referenced,) = study.RTReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == first.SeriesInstanceUID
    images = referenced.ContourImageSequence
    assert [i.ReferencedSOPInstanceUID for i in images] == [
        source.SOPInstanceUID for source in series.sources
    ]
    assert {i.ReferencedSOPClassUID for i in images} == {CTImageStorage}


def test_each_organ_that_was_found_is_a_region_of_interest(series: CtSeries) -> None:
    kidney = Label(4, "Kidney", SPLEEN.category, SPLEEN.type, (1, 2, 3))
    far = replace(SPLEEN, index=7)
    mask = liver_mask(series, (LIVER, far))
    mask = Mask(volume=mask.volume, labels=(LIVER, kidney, far))
    content = content_of(series, mask)
    dataset = encoded(content)
    liver, spleen = dataset.StructureSetROISequence  # the kidney was not found
    assert (liver.ROINumber, liver.ROIName) == (1, "Liver")
    assert (spleen.ROINumber, spleen.ROIName) == (3, "Spleen")
    assert liver.ReferencedFrameOfReferenceUID == series.sources[0].FrameOfReferenceUID
    assert float(liver.ROIVolume) == pytest.approx(
        content.measurements["Liver"].volume_ml, abs=0.001
    )
    assert liver.ROIGenerationAlgorithm == "AUTOMATIC"
    (algorithm,) = liver.ROIDerivationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("liver-test", "0.0.1")
    assert [roi.ReferencedROINumber for roi in dataset.ROIContourSequence] == [1, 3]
    assert list(dataset.ROIContourSequence[1].ROIDisplayColor) == list(SPLEEN.display_rgb)
    np.testing.assert_array_equal(voxels_of(dataset, series, 0), mask.of(LIVER))
    np.testing.assert_array_equal(voxels_of(dataset, series, 1), mask.of(far))


def test_an_observation_says_which_organ_a_region_is(series: CtSeries) -> None:
    (observation,) = encoded(content_of(series)).RTROIObservationsSequence
    assert (observation.ObservationNumber, observation.ReferencedROINumber) == (1, 1)
    assert observation.RTROIInterpretedType == "ORGAN"
    (code,) = observation.RTROIIdentificationCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("10200004", "SCT")
    (category,) = observation.SegmentedPropertyCategoryCodeSequence
    assert category.CodeMeaning == "Organ"


def test_contours_are_closed_and_numbered_from_one(series: CtSeries) -> None:
    contours = all_contours(encoded(content_of(series, with_odd_pixels(liver_mask(series)))))
    assert {contour.ContourGeometricType for contour in contours} == {"CLOSED_PLANAR"}
    assert [contour.ContourNumber for contour in contours] == list(range(1, len(contours) + 1))


def test_the_result_declares_that_it_is_automatic_and_not_approved(series: CtSeries) -> None:
    dataset = encoded(content_of(series))
    assert dataset.SOPClassUID == RTStructureSetStorage
    assert dataset.ApprovalStatus == "UNAPPROVED"
    assert "not for diagnostic use" in dataset.StructureSetDescription
    assert "not for diagnostic use" in dataset.StructureSetROISequence[0].ROIGenerationDescription
    assert dataset.StructureSetLabel == "liver-test"
    assert "24 slices" in dataset.StructureSetDescription


def test_a_long_model_name_is_cut_to_a_short_string(series: CtSeries) -> None:
    content = content_of(series)
    content = replace(content, spec=replace(content.spec, model_id="organs-of-the-abdomen"))
    assert encoded(content).StructureSetLabel == "organs-of-the-ab"


def test_an_organ_that_is_too_small_to_count_as_found_has_no_contours(series: CtSeries) -> None:
    tiny = replace(SPLEEN, min_volume_ml=100.0)
    mask = liver_mask(series, (LIVER, tiny))
    values = mask.volume.array.copy()
    values[values == SPLEEN.index] = LIVER.index
    values[0, 0, 0] = SPLEEN.index
    content = content_of(series, Mask(volume=mask.volume.with_array(values), labels=mask.labels))
    assert [roi.ROIName for roi in encoded(content).StructureSetROISequence] == ["Liver"]


def test_findings_of_an_organ_describe_its_region(series: CtSeries) -> None:
    findings = (
        Finding(FindingKind.HOLES, "Liver", "The liver has holes."),
        Finding(FindingKind.HOLES, "Spleen", "The spleen has holes."),
        Finding(FindingKind.CUT_BY_SERIES, "Liver", "The liver is cut."),
    )
    content = replace(content_of(series), findings=findings)
    (roi,) = encoded(content).StructureSetROISequence
    assert roi.ROIDescription == "The liver has holes. The liver is cut."


def test_a_marked_result_says_so(series: CtSeries) -> None:
    content = content_of(series)
    assert "Marked" not in encoded(content).StructureSetDescription
    assert "Marked" in encoded(replace(content, is_marked=True)).StructureSetDescription


def test_names_outside_of_the_character_set_are_kept(series: CtSeries) -> None:
    named = replace(LIVER, name="Печень")
    dataset = encoded(content_of(series, liver_mask(series, (named,))))
    assert dataset.StructureSetROISequence[0].ROIName == "Печень"
    assert dataset.SpecificCharacterSet == "ISO_IR 192"


def test_equal_input_gives_equal_bytes(series: CtSeries) -> None:
    (one,), (other,) = (encode(content_of(series), RTSTRUCT) for _ in range(2))
    assert part10(one) == part10(other)


def test_the_uids_depend_on_the_job_only(series: CtSeries) -> None:
    dataset = encoded(content_of(series))
    uids = ObjectUids("job", RTSTRUCT)
    assert dataset.SOPInstanceUID == uids.sop_instance_uid()
    assert dataset.SeriesInstanceUID == uids.series_instance_uid
    assert dataset.StudyInstanceUID == series.sources[0].StudyInstanceUID
    assert encoded(content_of(series, job_id="other")).SOPInstanceUID != dataset.SOPInstanceUID


def test_the_time_of_the_structure_set_is_in_the_time_zone_of_the_source(series: CtSeries) -> None:
    for source in series.sources:
        source.TimezoneOffsetFromUTC = "-0330"
    dataset = encoded(content_of(series, made_at=datetime(2026, 5, 4, 1, 30, tzinfo=UTC)))
    for prefix in ("InstanceCreation", "Series", "StructureSet"):
        assert dataset[f"{prefix}Date"].value == "20260503"
        assert dataset[f"{prefix}Time"].value == "220000.000000"


def test_a_more_complete_result_names_the_one_it_replaces(series: CtSeries) -> None:
    earlier = ReplacedResult(Uid("1.2.3.4"), 20, "0.1.0")
    description = encoded(content_of(series, replaces=earlier)).StructureSetDescription
    assert "replaces 1.2.3.4, which was made by version 0.1.0 from 20 instances" in description
    assert "this one is made from 24" in description


def test_contours_survive_the_conversion_to_implicit_vr(series: CtSeries) -> None:
    dataset = encoded(content_of(series))
    stream = BytesIO()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(stream, implicit_vr=True, enforce_file_format=True)
    converted = dcmread(BytesIO(stream.getvalue()))
    np.testing.assert_array_equal(voxels_of(converted, series), liver_mask(series).of(LIVER))


def test_a_mask_on_another_grid_is_an_error(series: CtSeries) -> None:
    cropped = liver_mask(series).volume[1:]
    content = replace(content_of(series), mask=Mask(volume=cropped, labels=(LIVER,)))
    with pytest.raises(ValueError, match="grid"):
        encode(content, RTSTRUCT)


def test_a_mask_without_organs_is_an_error(series: CtSeries) -> None:
    empty = Mask(
        volume=series.volume.with_array(np.zeros(series.volume.shape, np.uint8)), labels=(LIVER,)
    )
    with pytest.raises(ValueError, match="none of the organs"):
        encode(content_of(series, empty), RTSTRUCT)


def test_a_time_without_zone_is_an_error(series: CtSeries) -> None:
    content = content_of(series, made_at=datetime(2026, 5, 4))  # noqa: DTZ001 that is the error
    with pytest.raises(ValueError, match="time zone"):
        encode(content, RTSTRUCT)


def test_images_without_study_uid_are_refused(series: CtSeries) -> None:
    for source in series.sources:
        source.StudyInstanceUID = ""
    with pytest.raises(Rejected, match="StudyInstanceUID") as caught:
        encode(content_of(series), RTSTRUCT)
    assert caught.value.reason is RejectionReason.INVALID_INSTANCE
