"""The DICOM SEG has the geometry of the mask, declares its origin and is reproducible."""

from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom.dataset import Dataset

from models.manifest import Label
from models.mask import Mask
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.results.segmentation import SegOptions, encode
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import ReplacedResult, ResultIdentity, result_identity
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
from tests.support.dicom.builders import (
    LIVER,
    MADE_AT,
    SPLEEN,
    ct_series,
    enhanced_ct,
    legacy_converted,
    model_spec,
)

IDENTITY = result_identity("job")


def liver_mask(series: CtSeries, labels: tuple[Label, ...] = (LIVER,)) -> Mask:
    """Returns the ground truth liver; with two labels, its upper half is the second."""
    positions = voxel_positions(series.volume)
    values = in_liver(positions).astype(np.uint8)
    if len(labels) > 1:
        values[in_liver(positions) & (positions[..., 2] > 14)] = labels[1].index
    return Mask(volume=series.volume.with_array(values), labels=labels)


def encoded(
    series: CtSeries,
    mask: Mask | None = None,
    *,
    identity: ResultIdentity = IDENTITY,
    options: SegOptions | None = None,
    made_at: datetime = MADE_AT,
    replaces: ReplacedResult | None = None,
) -> Dataset:
    mask = liver_mask(series) if mask is None else mask
    return encode(
        mask,
        series,
        model_spec(labels=mask.labels),
        identity=identity,
        options=SegOptions() if options is None else options,
        made_at=made_at,
        replaces=replaces,
    )


def part10(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def read_back(dataset: Dataset) -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(part10(dataset)))


@pytest.fixture
def series(tmp_path: Path) -> CtSeries:
    return read_series(ct_series(oblique()).write(tmp_path))


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
def test_highdicom_reads_the_same_mask_at_the_same_position(
    directions: Directions, tmp_path: Path
) -> None:
    series = read_series(ct_series(directions).write(tmp_path))
    mask = liver_mask(series)
    volume = read_back(encoded(series, mask)).get_volume(combine_segments=True)
    same_grid = volume.match_geometry(series.volume.get_geometry())
    assert (same_grid.array == mask.volume.array).all()
    assert mask.volume.array.sum() > 500


def test_each_frame_lies_on_the_slice_it_refers_to(series: CtSeries) -> None:
    mask = liver_mask(series)
    seg = read_back(encoded(series, mask))
    for k, source in enumerate(series.sources):
        pixels = seg.get_pixels_by_source_instance([source.SOPInstanceUID])
        assert (pixels[0, :, :, 0] == mask.volume.array[k]).all()
    by_uid = {source.SOPInstanceUID: source for source in series.sources}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        image = frame.DerivationImageSequence[0].SourceImageSequence[0]
        source = by_uid.pop(image.ReferencedSOPInstanceUID)
        assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
    assert not by_uid  # empty slices have frames as well
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    assert orientation.ImageOrientationPatient == series.sources[0].ImageOrientationPatient


def test_every_source_instance_is_referenced(series: CtSeries) -> None:
    referenced = encoded(series).ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == series.sources[0].SeriesInstanceUID
    uids = {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence}
    assert uids == {source.SOPInstanceUID for source in series.sources}


def test_the_mask_of_a_resampled_series_is_on_the_true_slices(tmp_path: Path) -> None:
    thin = grid(slices=60, spacing_mm=(2.5, 3.0, 3.0))
    series = read_series(ct_series(geometry=thin, jitter_mm=0.2).write(tmp_path))
    assert series.is_resampled
    seg = read_back(encoded(series))
    differing = 0
    for source in series.sources:
        pixels = seg.get_pixels_by_source_instance([source.SOPInstanceUID])[0, :, :, 0]
        affine = thin.affine.copy()
        affine[:3, 3] = source.ImagePositionPatient
        ground_truth = in_liver(voxel_positions(hd.VolumeGeometry(affine, (1, 40, 48), "PATIENT")))[
            0
        ]
        differing += int((pixels != ground_truth).sum())
    # The even slices of the mask are up to 0.1 mm away: only surface voxels may differ.
    assert differing < 0.02 * int(in_liver(voxel_positions(thin)).sum())
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert "SpacingBetweenSlices" not in shared.PixelMeasuresSequence[0]


@pytest.mark.parametrize("labels", [(LIVER,), (LIVER, SPLEEN)], ids=["one label", "two labels"])
def test_the_segment_is_identified_in_each_frame(
    labels: tuple[Label, ...], series: CtSeries
) -> None:
    dataset = encoded(series, liver_mask(series, labels))
    assert "SegmentIdentificationSequence" not in dataset.SharedFunctionalGroupsSequence[0]
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert numbers == [n for n in range(1, len(labels) + 1) for _ in range(24)]


def test_several_organs_are_several_segments(series: CtSeries) -> None:
    far = Label(7, "Spleen", SPLEEN.category, SPLEEN.type, SPLEEN.display_rgb)
    mask = liver_mask(series, (LIVER, far))
    seg = read_back(encoded(series, mask))
    volume = seg.get_volume().match_geometry(series.volume.get_geometry())
    assert (volume.array[..., 0] == mask.of(LIVER)).all()
    assert (volume.array[..., 1] == mask.of(far)).all()
    first, second = seg.SegmentSequence
    assert second.SegmentedPropertyTypeCodeSequence[0].CodeValue == "78961009"
    assert first.TrackingUID != second.TrackingUID


@pytest.mark.parametrize("object_type", ["enhanced", "legacy converted"])
def test_a_multi_frame_source_is_referred_to_by_frame(object_type: str, tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    order = [*range(12, 24), *range(12)]
    source = (
        enhanced_ct(oblique(), frame_order=order)
        if object_type == "enhanced"
        else legacy_converted(ct_series(oblique()))
    )
    source.save_as(path, enforce_file_format=True)
    series = read_series([path])
    mask = liver_mask(series)
    seg = read_back(encoded(series, mask))
    pixels = seg.get_pixels_by_source_frame(series.sources[0].SOPInstanceUID, series.frame_numbers)
    assert (pixels[..., 0] == mask.volume.array).all()
    volume = seg.get_volume(combine_segments=True).match_geometry(series.volume.get_geometry())
    assert (volume.array == mask.volume.array).all()


def test_a_segment_names_its_type_and_algorithm(series: CtSeries) -> None:
    segment = encoded(series).SegmentSequence[0]
    property_type = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (property_type.CodeValue, property_type.CodingSchemeDesignator) == ("10200004", "SCT")
    category = segment.SegmentedPropertyCategoryCodeSequence[0]
    assert (category.CodeMeaning, category.CodingSchemeDesignator) == ("Organ", "SCT")
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("liver-test", "0.0.1")
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    colour = hd.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
    np.testing.assert_allclose(colour.to_rgb(), LIVER.display_rgb, atol=1)
    assert segment.TrackingUID == IDENTITY.tracking_uid


def test_a_result_declares_by_default_that_it_is_not_for_diagnostic_use(series: CtSeries) -> None:
    dataset = encoded(series)
    for text in (
        dataset.SeriesDescription,
        dataset.ContentDescription,
        dataset.DerivationDescription,
    ):
        assert "not for diagnostic use" in text


def test_options_set_description_and_number(series: CtSeries) -> None:
    options = SegOptions(
        series_description="AI liver",
        series_number=4711,
        content_description="research",
        content_label="LIVER_AI",
        instance_number=3,
    )
    dataset = encoded(series, options=options)
    assert dataset.SeriesDescription == "AI liver"
    assert dataset.SeriesNumber == 4711
    assert dataset.ContentDescription == "research"
    assert dataset.ContentLabel == "LIVER_AI"
    assert dataset.InstanceNumber == 3


def test_equal_input_gives_equal_bytes(series: CtSeries) -> None:
    assert part10(encoded(series)) == part10(encoded(series))


def test_all_uids_depend_only_on_the_identity(series: CtSeries) -> None:
    dataset = encoded(series)
    assert dataset.SOPInstanceUID == IDENTITY.sop_instance_uid
    assert dataset.SeriesInstanceUID == IDENTITY.series_instance_uid
    assert str(dataset.file_meta.MediaStorageSOPInstanceUID) == IDENTITY.sop_instance_uid
    other = encoded(series, identity=result_identity("another job"))
    organization = "DimensionOrganizationSequence"
    assert dataset[organization][0] != other[organization][0]


def test_a_more_complete_result_names_the_one_it_replaces(series: CtSeries) -> None:
    earlier = ReplacedResult(Uid("1.2.3.4"), 20, "0.1.0")
    derivation = encoded(series, replaces=earlier).DerivationDescription
    assert (
        "Replaces the result 1.2.3.4, which was made by version 0.1.0 from 20 instances"
        in derivation
    )
    assert "this one is made from 24" in derivation
    assert "Replaces" not in encoded(series).DerivationDescription


def test_the_creation_time_is_in_the_time_zone_of_the_source(series: CtSeries) -> None:
    for source in series.sources:
        source.TimezoneOffsetFromUTC = "-0330"
    dataset = encoded(series, made_at=datetime(2026, 5, 4, 1, 30, tzinfo=UTC))
    assert dataset.TimezoneOffsetFromUTC == "-0330"
    for prefix in ("InstanceCreation", "Series", "Content"):
        assert dataset[f"{prefix}Date"].value == "20260503"
        assert dataset[f"{prefix}Time"].value == "220000.000000"


def test_a_source_without_time_zone_gets_the_local_one(series: CtSeries) -> None:
    for source in series.sources:
        del source.TimezoneOffsetFromUTC
    made_at = datetime(2026, 5, 4, 1, 30, tzinfo=timezone(timedelta(hours=9)))
    dataset = encoded(series, made_at=made_at)
    assert dataset.TimezoneOffsetFromUTC == made_at.astimezone().strftime("%z")
    assert dataset.ContentTime == made_at.astimezone().strftime("%H%M%S.%f")


def test_the_scanner_and_the_node_are_contributing_equipment(series: CtSeries) -> None:
    for source in series.sources:
        source.Manufacturer, source.DeviceUID = "SCANNERS INC", "1.2.3"
    dataset = encoded(series)
    scanner, node = dataset.ContributingEquipmentSequence
    assert (scanner.Manufacturer, scanner.DeviceUID) == ("SCANNERS INC", "1.2.3")
    assert node.Manufacturer == dataset.Manufacturer == "segnode"
    assert node.DeviceUID == dataset.DeviceUID
    assert "liver-test 0.0.1" in dataset.SoftwareVersions


def test_a_mask_on_another_grid_is_an_error(series: CtSeries) -> None:
    cropped = liver_mask(series).volume[1:]
    with pytest.raises(ValueError, match="grid"):
        encoded(series, Mask(volume=cropped, labels=(LIVER,)))


def test_images_without_study_uid_are_refused(series: CtSeries) -> None:
    for source in series.sources:
        source.StudyInstanceUID = ""
    with pytest.raises(Rejected, match="StudyInstanceUID") as caught:
        encoded(series)
    assert caught.value.reason is RejectionReason.INVALID_INSTANCE
