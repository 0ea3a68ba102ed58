"""The result of a part of a series lies on its own slices, and refers to no others."""

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.dicom.ct.frames import slices_of
from node.dicom.ct.reader import CtSeries, parts_of_series, read_series
from node.dicom.results.captures.summary_page import summary_page
from node.dicom.results.content import ResultContent
from node.dicom.results.encoders import encode
from node.dicom.results.series_texts import part_title, series_description, series_number
from node.domain.result_objects import SEG, ResultKind, ResultObject, SegEncoding
from node.domain.series import AcquisitionChoice
from node.domain.texts.result_texts import ResultTexts
from tests.support.dicom.body import in_liver, voxel_positions
from tests.support.dicom.phases import PHASE_SLICES, interleaved_enhanced_ct, two_phases
from tests.support.dicom.rasterised import rasterised
from tests.support.dicom.result_content import read_back
from tests.support.dicom.results import content_of, with_source_series
from tests.support.dicom.source_slices import plane

# A frame or an image: the instance and the number of the frame, from 1.
Reference = tuple[str, int]
OBJECTS = [ResultObject(kind) for kind in ResultKind if kind not in {"notice", "report"}]


def parts_of(folder: Path, *, multi_frame: bool) -> list[CtSeries]:
    """Reads both parts of the series."""
    if multi_frame:
        paths = [folder / "enhanced.dcm"]
        interleaved_enhanced_ct().save_as(paths[0], enforce_file_format=True)
    else:
        paths = two_phases().write(folder)
    parts = parts_of_series(paths)
    return [read_series(paths, AcquisitionChoice.EACH, part) for part in parts]


@pytest.fixture(scope="module", params=[False, True], ids=["images", "multi-frame"])
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[CtSeries]:
    return parts_of(tmp_path_factory.mktemp("parts"), multi_frame=request.param)


def own_references(series: CtSeries) -> set[Reference]:
    """The images or frames of the part."""
    uids = [str(source.SOPInstanceUID) for source in series.sources]
    if series.frame_numbers:
        return {(uids[0], number) for number in series.frame_numbers}
    return {(uid, 1) for uid in uids}


def references_in(dataset: Dataset) -> set[Reference]:
    """The source images and frames that any item with frame numbers names; else the whole image."""
    found: set[Reference] = set()
    for item in _items(dataset):
        uid = item.get("ReferencedSOPInstanceUID")
        if uid is None or "CT" not in item.ReferencedSOPClassUID.name:
            continue
        numbers = item.get("ReferencedFrameNumber")
        many = [numbers] if isinstance(numbers, int) else numbers or [1]
        found |= {(str(uid), int(number)) for number in many}
    return found


def _items(dataset: Dataset) -> list[Dataset]:
    """All items of sequences whose references have frame numbers, at any depth."""
    found = []
    for element in dataset:
        # Lists of instances, in which the standard has no frame numbers (PS3.3 Table 10-11).
        if element.VR != "SQ" or element.keyword in {
            "ReferencedSeriesSequence",
            "CurrentRequestedProcedureEvidenceSequence",
            "PertinentOtherEvidenceSequence",
            "SourceInstanceSequence",
        }:
            continue
        for item in element.value:
            found += [item, *_items(item)]
    return found


def instances_in(dataset: Dataset) -> set[str]:
    """The CT instances that the object names anywhere."""
    return {
        str(element.value)
        for element in dataset.iterall()
        if element.keyword == "ReferencedSOPInstanceUID"
    }


def true_liver(series: CtSeries) -> dict[Reference, NDArray[np.bool_]]:
    """The liver on each image or frame, computed from its own position in the source header."""
    found = {}
    for header in series.sources:
        for slice_ in slices_of(header):
            geometry = Dataset()
            geometry.ImagePositionPatient = list(slice_.position)
            geometry.ImageOrientationPatient = list(slice_.orientation)
            geometry.PixelSpacing = list(slice_.pixel_spacing_mm)
            geometry.Rows, geometry.Columns = slice_.size
            key = (str(header.SOPInstanceUID), slice_.frame_number or 1)
            found[key] = in_liver(voxel_positions(plane(geometry)))[0]
    return found


@pytest.mark.parametrize("encoding", SegEncoding)
def test_every_frame_of_the_seg_is_the_liver_of_its_own_slice(
    encoding: SegEncoding, parts: list[CtSeries]
) -> None:
    for series in parts:
        (dataset,) = encode(content_of(series), ResultObject(ResultKind.SEG, encoding))
        seg = read_back(dataset)
        expected = true_liver(series)
        segmentation = hd.seg.Segmentation.from_dataset(seg)
        positions = {
            (str(header.SOPInstanceUID), s.frame_number or 1): s.position
            for header in series.sources
            for s in slices_of(header)
        }
        seen = set()
        for k, frame in enumerate(seg.PerFrameFunctionalGroupsSequence, start=1):
            (source,) = frame.DerivationImageSequence[0].SourceImageSequence
            key = (
                str(source.ReferencedSOPInstanceUID),
                int(source.get("ReferencedFrameNumber", 1)),
            )
            seen.add(key)
            position = [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient]
            np.testing.assert_allclose(position, positions[key], atol=1e-6)
            assert ((segmentation.get_stored_frame(k) > 0) == expected[key]).all()
        own = own_references(series)
        assert seen <= own
        assert all(not expected[key].any() for key in own - seen)
        assert encoding is SegEncoding.SPARSE or seen == own


def test_the_two_parts_have_different_livers(parts: list[CtSeries]) -> None:
    first, second = (content_of(series).mask.volume.array for series in parts)
    assert (first != second).any()


@pytest.mark.parametrize("result_object", OBJECTS, ids=lambda each: each.name)
def test_an_object_refers_to_the_slices_of_its_part_only(
    result_object: ResultObject, parts: list[CtSeries]
) -> None:
    for series in parts:
        datasets = [read_back(each) for each in encode(content_of(series), result_object)]
        own = own_references(series)
        uids = {uid for uid, _number in own}
        sources = {str(s.SOPInstanceUID) for other in parts for s in other.sources}
        assert set().union(*(instances_in(d) for d in datasets)) & sources == uids
        if result_object.kind is not ResultKind.PDF:  # it refers to instances alone
            found = set().union(*(references_in(dataset) for dataset in datasets))
            assert {one for one in found if one[0] in sources} == own


def test_contours_lie_on_their_own_slices(parts: list[CtSeries]) -> None:
    for series in parts:
        (dataset,) = encode(content_of(series), ResultObject(ResultKind.RTSTRUCT))
        contours = read_back(dataset).ROIContourSequence[0].ContourSequence
        own = own_references(series)
        for contour in contours:
            (image,) = contour.ContourImageSequence
            number = int(image.get("ReferencedFrameNumber", 1))
            assert (str(image.ReferencedSOPInstanceUID), number) in own
        filled = rasterised(contours, series)
        assert (filled == content_of(series).mask.volume.array.astype(bool)).all()


def test_captures_show_their_own_slices(parts: list[CtSeries]) -> None:
    for series in parts:
        captures = list(encode(content_of(series), ResultObject(ResultKind.CAPTURE)))
        assert len(captures) == PHASE_SLICES
        positions = {
            (str(header.SOPInstanceUID), s.frame_number or 1): s.position
            for header in series.sources
            for s in slices_of(header)
        }
        for capture in captures:
            (source,) = capture.SourceImageSequence
            number = int(source.get("ReferencedFrameNumber", 1))
            expected = positions[str(source.ReferencedSOPInstanceUID), number]
            np.testing.assert_allclose([float(v) for v in capture.ImagePositionPatient], expected)


def test_the_report_lists_the_frames_of_its_part(tmp_path: Path) -> None:
    series = parts_of(tmp_path, multi_frame=True)[1]
    (dataset,) = encode(content_of(series), ResultObject(ResultKind.SR))
    report = hd.sr.Comprehensive3DSR.from_dataset(read_back(dataset))
    (library,) = hd.sr.utils.find_content_items(report, codes.DCM.ImageLibrary, recursive=True)
    (group,) = library.ContentSequence
    images = [item for item in group.ContentSequence if item.ValueType == "IMAGE"]
    frames = images[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    assert [int(number) for number in frames] == sorted(series.frame_numbers)


def test_texts_and_numbers_distinguish_the_parts(parts: list[CtSeries]) -> None:
    contents = [content_of(series) for series in parts]
    described = [series_description(content, SEG) for content in contents]
    assert described[0].split(":")[0] in {"Acquisition 1", "Temporal position 1"}
    assert described[1].split(":")[0] in {"Acquisition 2", "Temporal position 2"}
    assert described[0].split(": ")[1].startswith("Liver, liver-test 0.0.1")
    numbers = [series_number(content, each) for content in contents for each in OBJECTS]
    assert len(set(numbers)) == len(numbers)
    for content in contents:
        part = content.source.part
        assert part is not None
        source = summary_page(content, with_patient=False).sections[1]
        assert f"Only {part.title} of 2 parts" in source.paragraphs


def test_a_part_takes_the_place_of_the_model_and_not_of_the_source_series(
    parts: list[CtSeries],
) -> None:
    content = with_source_series(content_of(parts[1]), 4, "Abdomen KM")
    spec = replace(content.spec, model_id="liver-attention-ct", version="12.3.0")
    content = replace(content, spec=spec)
    title = part_title(content.source.part)
    measurements = series_description(content, ResultObject(ResultKind.SR))
    assert measurements == f"Measurements: {title}: Liver (S4 Abdomen KM)"
    without = with_source_series(content, 4, None)
    text = series_description(without, ResultObject(ResultKind.SR))
    assert "liver-attention-ct" in text


def test_a_template_says_where_the_part_goes(parts: list[CtSeries]) -> None:
    texts = ResultTexts(series_description="{organs} ({part}) by {model}")
    content = content_of(parts[1], texts=texts)
    part = content.source.part
    assert part is not None
    title = part.title[0].upper() + part.title[1:]
    assert series_description(content, SEG) == f"Liver ({title}) by liver-test"
    whole = replace(content, source=replace(content.source, part=None))
    assert series_description(whole, SEG) == "Liver by liver-test"


def test_equal_parts_give_equal_bytes(parts: list[CtSeries]) -> None:
    def encoded(content: ResultContent) -> bytes:
        (dataset,) = encode(content, SEG)
        return bytes(dataset.PixelData) + dataset.to_json().encode()

    assert encoded(content_of(parts[1])) == encoded(content_of(parts[1]))
