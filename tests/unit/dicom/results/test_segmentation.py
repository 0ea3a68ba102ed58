"""Each encoding of the SEG has the geometry of the mask, its origin, and equal bytes again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from models.installed_packages import installed
from models.manifest import Label
from models.mask import Mask
from models.phantom import abdomen
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.ct_writer import write_ct_series
from node.dicom.results.transcoding import in_syntax, sent_syntaxes, uncompressed
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.job import ReplacedResult
from node.domain.result_objects import (
    ObjectUids,
    ResultKind,
    ResultObject,
    SegEncoding,
    tracking_uid,
)
from node.domain.texts.result_texts import ResultTexts, SeriesNumberRule
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
)
from tests.support.dicom.results import content_of, encoded_seg, liver_mask, part10

ENCODINGS = pytest.mark.parametrize("encoding", SegEncoding)


def encoded(
    series: CtSeries,
    mask: Mask | None = None,
    encoding: SegEncoding = SegEncoding.ALL_FRAMES,
    *,
    job_id: str = "job",
    texts: ResultTexts | None = None,
    made_at: datetime = MADE_AT,
    replaces: ReplacedResult | None = None,
) -> Dataset:
    content = content_of(
        series,
        liver_mask(series) if mask is None else mask,
        job_id=job_id,
        texts=texts,
        made_at=made_at,
        replaces=replaces,
    )
    return encoded_seg(content, encoding)


def read_back(dataset: Dataset) -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(part10(dataset)))


def pixels_on(seg: hd.seg.Segmentation, source: Dataset) -> NDArray[np.integer]:
    """Returns the segment numbers on a source slice (row, column); 0 where there is no frame."""
    pixels: NDArray[np.integer] = seg.get_pixels_by_source_instance(
        [source.SOPInstanceUID],
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )[0]
    return pixels


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
@ENCODINGS
def test_highdicom_reads_the_same_mask_at_the_same_position(
    directions: Directions, encoding: SegEncoding, tmp_path: Path
) -> None:
    series = read_series(ct_series(directions).write(tmp_path))
    mask = liver_mask(series)
    volume = read_back(encoded(series, mask, encoding)).get_volume(combine_segments=True)
    # Pads with 0 where the sparse encoding has no frames.
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


@ENCODINGS
def test_every_source_instance_is_referenced(series: CtSeries, encoding: SegEncoding) -> None:
    referenced = encoded(series, encoding=encoding).ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == series.sources[0].SeriesInstanceUID
    uids = {item.ReferencedSOPInstanceUID for item in referenced.ReferencedInstanceSequence}
    assert uids == {source.SOPInstanceUID for source in series.sources}


@ENCODINGS
def test_the_mask_of_a_resampled_series_is_on_the_true_slices(
    encoding: SegEncoding, tmp_path: Path
) -> None:
    thin = grid(slices=60, spacing_mm=(2.5, 3.0, 3.0))
    series = read_series(ct_series(geometry=thin, jitter_mm=0.2).write(tmp_path))
    assert series.is_resampled
    seg = read_back(encoded(series, encoding=encoding))
    differing = 0
    for source in series.sources:
        pixels = pixels_on(seg, source)
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
@ENCODINGS
def test_a_multi_frame_source_is_referred_to_by_frame(
    object_type: str, encoding: SegEncoding, tmp_path: Path
) -> None:
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
    seg = read_back(encoded(series, mask, encoding))
    pixels = seg.get_pixels_by_source_frame(
        series.sources[0].SOPInstanceUID,
        series.frame_numbers,
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    assert (pixels == mask.volume.array).all()
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
    assert segment.TrackingUID == tracking_uid("job", 1, label_count=1)


@ENCODINGS
def test_a_marked_result_says_so(series: CtSeries, encoding: SegEncoding) -> None:
    content = content_of(series)
    plain, marked = (
        encoded_seg(one, encoding) for one in (content, replace(content, is_marked=True))
    )
    for dataset, is_marked in ((plain, False), (marked, True)):
        organ = next(item for item in dataset.SegmentSequence if item.SegmentNumber == 1)
        for text in (dataset.DerivationDescription, organ.SegmentDescription):
            assert ("check the findings before any use" in text) == is_marked


@ENCODINGS
def test_a_result_declares_that_it_is_not_for_diagnostic_use(
    series: CtSeries, encoding: SegEncoding
) -> None:
    dataset = encoded(series, encoding=encoding)
    liver = dataset.SegmentSequence[0]
    for text in (
        dataset.ContentDescription,
        dataset.DerivationDescription,
        liver.SegmentDescription,
    ):
        assert "not for diagnostic use" in text
    assert liver.SegmentLabel in liver.SegmentDescription


def test_the_site_sets_description_and_number(series: CtSeries) -> None:
    texts = ResultTexts("AI liver", SeriesNumberRule(4711, follows_source=False), "research")
    dataset = encoded(series, texts=texts)
    assert dataset.SeriesDescription == "AI liver"
    assert dataset.SeriesNumber == 4711
    assert dataset.ContentDescription == "research"
    assert dataset.ContentLabel == "LIVER"
    assert dataset.SegmentSequence[0].SegmentDescription == "Liver. research"


@ENCODINGS
def test_equal_input_gives_equal_bytes(series: CtSeries, encoding: SegEncoding) -> None:
    assert part10(encoded(series, encoding=encoding)) == part10(encoded(series, encoding=encoding))


@ENCODINGS
def test_all_uids_depend_only_on_job_and_encoding(series: CtSeries, encoding: SegEncoding) -> None:
    dataset = encoded(series, encoding=encoding)
    uids = ObjectUids("job", ResultObject(ResultKind.SEG, encoding))
    assert dataset.SOPInstanceUID == uids.sop_instance_uid()
    assert dataset.SeriesInstanceUID == uids.series_instance_uid
    assert str(dataset.file_meta.MediaStorageSOPInstanceUID) == uids.sop_instance_uid()
    other = encoded(series, encoding=encoding, job_id="another job")
    organization = "DimensionOrganizationSequence"
    assert dataset[organization][0] != other[organization][0]


def test_the_first_encoding_keeps_the_uids_of_earlier_releases(series: CtSeries) -> None:
    """The UIDs of release 0.1.0 for the job with the id "job"."""
    dataset = encoded(series)
    assert dataset.SOPInstanceUID == "2.25.210595579477350201391778428384322012064"
    assert dataset.SeriesInstanceUID == "2.25.292530564658600660237803901100199529096"
    organization = dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID
    assert organization == "2.25.204472150054918822859053457195777316423"
    assert dataset.SegmentSequence[0].TrackingUID == (
        "2.25.336200739068620755775061843652577200905"
    )
    both = encoded(series, liver_mask(series, (LIVER, SPLEEN)))
    assert [segment.TrackingUID for segment in both.SegmentSequence] == [
        "2.25.20602016678012800758572843929771075834",
        "2.25.203142367540447116090001094078146002996",
    ]


def test_a_sparse_seg_has_only_the_frames_with_voxels(series: CtSeries) -> None:
    mask = liver_mask(series, (LIVER, SPLEEN))
    dataset = encoded(series, mask, SegEncoding.SPARSE)
    frames = dataset.PerFrameFunctionalGroupsSequence
    with_voxels = {
        (number, series.sources[k].SOPInstanceUID)
        for number, label in enumerate(mask.labels, start=1)
        for k in range(series.slice_count)
        if mask.of(label)[k].any()
    }
    assert dataset.NumberOfFrames == len(frames) == len(with_voxels) < 24
    assert {(segment_of(frame), source_of(frame)) for frame in frames} == with_voxels
    by_uid = {source.SOPInstanceUID: source for source in series.sources}
    for frame in frames:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        assert position == by_uid[source_of(frame)].ImagePositionPatient
    # The distance of the source's slices, not that of the remaining frames.
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(6.0)


def test_the_dimension_indices_of_a_sparse_seg_have_no_gaps(series: CtSeries) -> None:
    """Also where slices between frames, and a whole segment, have no voxels."""
    middle = Label(2, "Pancreas", SPLEEN.category, SPLEEN.type, SPLEEN.display_rgb)
    last = Label(3, "Spleen", SPLEEN.category, SPLEEN.type, SPLEEN.display_rgb)
    values = np.zeros(series.volume.spatial_shape, dtype=np.uint8)
    values[3, 5:9, 5:9], values[10, 5:9, 5:9] = 1, 3
    mask = Mask(volume=series.volume.with_array(values), labels=(LIVER, middle, last))
    dataset = encoded(series, mask, SegEncoding.SPARSE)
    frames = dataset.PerFrameFunctionalGroupsSequence
    indices = [list(frame.FrameContentSequence[0].DimensionIndexValues) for frame in frames]
    assert [segment_of(frame) for frame in frames] == [1, 3]
    assert sorted(first for first, _ in indices) == [1, 2]
    assert sorted(second for _, second in indices) == [1, 2]
    volume = read_back(dataset).get_volume(combine_segments=True)
    assert volume.spatial_shape[0] == 8  # from slice 3 to slice 10, those without frames included
    whole = volume.match_geometry(series.volume.get_geometry())
    assert (whole.array == values).all()


@pytest.mark.parametrize("encoding", [SegEncoding.SPARSE, SegEncoding.LABELMAP])
def test_a_mask_without_voxels_has_all_frames(series: CtSeries, encoding: SegEncoding) -> None:
    values = np.zeros(series.volume.spatial_shape, dtype=np.uint8)
    mask = Mask(volume=series.volume.with_array(values), labels=(LIVER,))
    seg = read_back(encoded(series, mask, encoding))
    assert seg.NumberOfFrames == 24
    assert not seg.get_volume(combine_segments=True).array.any()


def test_a_label_map_has_one_frame_for_each_slice_and_is_compressed(series: CtSeries) -> None:
    mask = liver_mask(series, (LIVER, SPLEEN))
    dataset = encoded(series, mask, SegEncoding.LABELMAP)
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.7"
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    assert [source_of(frame) for frame in dataset.PerFrameFunctionalGroupsSequence] == [
        source.SOPInstanceUID for source in reversed(series.sources)
    ]
    assert (read_back(dataset).pixel_array[::-1] == mask.volume.array).all()
    numbers = [segment.SegmentNumber for segment in dataset.SegmentSequence]
    assert numbers == [1, 2, 0]  # 0 is the background


def test_an_uncompressed_label_map_is_the_same_instance(series: CtSeries) -> None:
    mask = liver_mask(series, (LIVER, SPLEEN))
    compressed = encoded(series, mask, SegEncoding.LABELMAP)
    before = part10(compressed)
    plain = uncompressed(compressed)
    assert plain.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert part10(compressed) == before
    pixels = np.frombuffer(plain.PixelData, dtype=np.uint8).reshape(mask.volume.shape)
    assert (pixels[::-1] == mask.volume.array).all()
    kept = {element.tag: element for element in compressed if element.keyword != "PixelData"}
    assert {e.tag: e for e in plain if e.keyword != "PixelData"} == kept
    assert part10(plain) == part10(uncompressed(compressed))


@pytest.mark.parametrize("encoding", [SegEncoding.ALL_FRAMES, SegEncoding.SPARSE])
def test_a_deflated_binary_seg_is_the_same_instance_and_much_smaller(
    series: CtSeries, encoding: SegEncoding
) -> None:
    dataset = encoded(series, encoding=encoding)
    before = part10(dataset)
    small = part10(in_syntax(dataset, DeflatedExplicitVRLittleEndian))
    assert len(small) < len(before) / 2
    assert part10(dataset) == before
    again = dcmread(BytesIO(small))
    assert again.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert part10(uncompressed(again)) == before


@pytest.mark.parametrize(
    ("encoding", "deflated", "expected"),
    [
        (SegEncoding.LABELMAP, True, (RLELossless, ExplicitVRLittleEndian)),
        (SegEncoding.SPARSE, False, (ExplicitVRLittleEndian,)),
        (SegEncoding.SPARSE, True, (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian)),
    ],
)
def test_a_seg_can_be_sent_as_it_is_or_uncompressed_and_bits_deflated(
    series: CtSeries, encoding: SegEncoding, expected: tuple[UID, ...], *, deflated: bool
) -> None:
    dataset = encoded(series, encoding=encoding)
    own = dataset.file_meta.TransferSyntaxUID
    syntaxes = sent_syntaxes(dataset.SOPClassUID, own, deflated=deflated)
    assert syntaxes == (*expected, ImplicitVRLittleEndian)


def test_the_size_of_a_result_of_nine_organs_is_limited(tmp_path: Path) -> None:
    """A sixteenth of 400 slices of 512 x 512 pixels, so a sixteenth of their limits."""
    phantom = abdomen(seed=1, shape=(100, 256, 256), spacing_mm=(6.0, 1.5, 1.5))
    series = read_series(write_ct_series(phantom.volume, tmp_path, seed=1))
    labels = installed(())["organs-ct"].labels
    organs = phantom.organs.match_geometry(series.volume.get_geometry())
    mask = Mask(volume=organs, labels=labels)
    results = {each: encoded(series, mask, each) for each in SegEncoding}
    sizes = {each: len(part10(dataset)) for each, dataset in results.items()}
    assert sizes[SegEncoding.LABELMAP] < 5e6 / 16
    frames = sum(int(mask.of(label).any(axis=(1, 2)).sum()) for label in labels)
    assert sizes[SegEncoding.SPARSE] / sizes[SegEncoding.ALL_FRAMES] < frames / 900 + 0.05 < 0.35
    for encoding in (SegEncoding.ALL_FRAMES, SegEncoding.SPARSE):
        deflated = in_syntax(results[encoding], DeflatedExplicitVRLittleEndian)
        assert len(part10(deflated)) < 25e6 / 16 / 10


def test_what_is_not_compressed_stays_as_it_is(series: CtSeries) -> None:
    dataset = encoded(series)
    assert uncompressed(dataset) is dataset


def segment_of(frame: Dataset) -> int:
    return int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def source_of(frame: Dataset) -> str:
    image = frame.DerivationImageSequence[0].SourceImageSequence[0]
    return str(image.ReferencedSOPInstanceUID)


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
    scanner, node, _ = dataset.ContributingEquipmentSequence
    assert (scanner.Manufacturer, scanner.DeviceUID) == ("SCANNERS INC", "1.2.3")
    assert node.Manufacturer == dataset.Manufacturer == "segnode"
    assert node.DeviceUID == dataset.DeviceUID
    assert "liver-test 0.0.1" in dataset.SoftwareVersions


def test_the_model_is_contributing_equipment_with_a_uid_of_its_weights(series: CtSeries) -> None:
    content = content_of(series)
    retrained = replace(content, spec=replace(content.spec, weights_sha256="another digest"))
    algorithm, other = (
        encoded_seg(one).ContributingEquipmentSequence[-1] for one in (content, retrained)
    )
    (purpose,) = algorithm.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
    assert (algorithm.Manufacturer, algorithm.ManufacturerModelName) == ("segnode", "liver-test")
    assert algorithm.SoftwareVersions == other.SoftwareVersions == "0.0.1"
    assert algorithm.DeviceUID != other.DeviceUID


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
