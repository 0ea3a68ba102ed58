"""Files that lack required attributes or are damaged are refused with the reason."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.tag import Tag
from pydicom.uid import UID, JPEG2000Lossless, RLELossless

from node.dicom.ct.reader import read_series
from node.dicom.results.context import copy_context_attributes
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.instance import Channel, Origin
from node.intake.dataset_elements import Encoding, iter_elements
from node.intake.part10 import part10_bytes, received_from_file
from tests.support.dicom import nested_sequences as nested
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series, enhanced_ct
from tests.support.factories import EXPLICIT
from tests.support.peers.refusing_peer import every, only, refusal


@pytest.mark.parametrize(
    "keyword",
    [
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
        "FrameOfReferenceUID",
        "Rows",
    ],
)
def test_a_missing_geometry_attribute_is_refused(keyword: str, tmp_path: Path) -> None:
    def drop(dataset: Dataset) -> None:
        del dataset[keyword]

    message = refusal(
        ct_series().modify(every(drop)).write(tmp_path), RejectionReason.MISSING_GEOMETRY
    )
    assert keyword in message


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_geometry_attribute_that_is_no_number_is_refused(tmp_path: Path) -> None:
    def spoil(dataset: Dataset) -> None:
        raw = RawDataElement(Tag("PixelSpacing"), "DS", 8, b"wide\\far", 0, False, True)
        dataset["PixelSpacing"] = raw

    message = refusal(ct_series().modify(every(spoil)).write(tmp_path), RejectionReason.UNREADABLE)
    assert "cannot be read" in message


def test_an_invalid_orientation_is_refused(tmp_path: Path) -> None:
    def spoil(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]

    refusal(ct_series().modify(every(spoil)).write(tmp_path), RejectionReason.MISSING_GEOMETRY)


def test_a_single_slice_is_refused(tmp_path: Path) -> None:
    files = ct_series(geometry=grid(slices=1))
    refusal(files.write(tmp_path), RejectionReason.TOO_FEW_SLICES)


def test_an_empty_list_of_files_is_refused() -> None:
    refusal([], RejectionReason.UNREADABLE)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_disk_error_is_transient_and_not_a_refusal(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_path: Path, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    files = ct_series().write(tmp_path)
    monkeypatch.setattr("node.dicom.ct.headers.dcmread", fails)
    with pytest.raises(Transient, match="an image cannot be read"):
        read_series(files)


def test_a_file_that_is_not_dicom_is_refused(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    paths[4].write_bytes(b"this is a letter, not an image" * 20)
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert paths[4].name in message


@pytest.mark.parametrize(
    "nesting",
    [
        nested.with_undefined_length,
        nested.with_defined_length,
        nested.with_defined_outer_length,
    ],
)
@pytest.mark.parametrize("keyword", ["ReferencedSeriesSequence", "RequestAttributesSequence"])
def test_too_deeply_nested_sequences_are_refused(
    keyword: str, nesting: nested.Nesting, tmp_path: Path
) -> None:
    paths = ct_series().write(tmp_path)
    tag = Tag(keyword)
    for path in paths:
        received = received_from_file(path, Origin(Channel.FOLDER, "test"))
        elements = iter_elements(received.dataset, Encoding.for_transfer_syntax(EXPLICIT))
        offset = next(element.offset for element in elements if element.tag > tag)
        deep = received.dataset[:offset] + nesting(tag, 10_000) + received.dataset[offset:]
        path.write_bytes(part10_bytes(replace(received, dataset=deep)))
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "nested too deeply" in message


def test_a_patient_id_of_unknown_vr_is_refused(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    paths[4].write_bytes(paths[4].read_bytes().replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0L\x18"))
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "cannot be read" in message


def test_a_patient_attribute_of_unknown_vr_is_omitted(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"\x10\0\x10\0PN", b"\x10\0\x10\0P\x18"))
    result = Dataset()
    copy_context_attributes(read_series(paths).sources[0], result, [])
    assert result["PatientName"].is_empty


def test_a_file_truncated_in_its_header_is_refused(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    paths[4].write_bytes(paths[4].read_bytes()[:700])
    with pytest.raises(Rejected):
        read_series(paths)


@pytest.mark.parametrize("rows", [40, 400], ids=["small", "deferred"])
def test_truncated_pixel_data_are_refused(rows: int, tmp_path: Path) -> None:
    paths = ct_series(geometry=grid(slices=4, rows=rows)).write(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-1000])
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "did not arrive whole" in message or "cannot be read" in message


def test_damaged_jpeg_2000_is_refused(tmp_path: Path) -> None:
    paths = ct_series(transfer_syntax_uid=JPEG2000Lossless).write(tmp_path)
    whole = paths[2].read_bytes()
    start = whole.index(b"\xff\x4f\xff\x51")
    paths[2].write_bytes(whole[:start] + b"\0" * 60 + whole[start + 60 :])
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "cannot be read" in message


@pytest.mark.parametrize(
    "syntax",
    [pytest.param(syntax, id=syntax.name) for syntax in (RLELossless, JPEG2000Lossless)],
)
def test_a_truncated_compressed_stream_is_refused(syntax: UID, tmp_path: Path) -> None:
    def cut(dataset: Dataset) -> None:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
        dataset.PixelData = encapsulate([stream[: len(stream) // 4 * 2]])

    files = ct_series(geometry=grid(slices=4, rows=200), transfer_syntax_uid=syntax)
    message = refusal(files.modify(only(2, cut)).write(tmp_path), RejectionReason.UNREADABLE)
    assert "image 3" in message


def test_a_run_length_stream_that_panics_the_decoder_is_refused(tmp_path: Path) -> None:
    def overrun(dataset: Dataset) -> None:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
        # Runs of 128 pixels each, beyond the last pixel of the image.
        dataset.PixelData = encapsulate([stream[:-40] + b"\x81\xff" * 20])

    files = ct_series(transfer_syntax_uid=RLELossless).modify(only(2, overrun))
    message = refusal(files.write(tmp_path), RejectionReason.UNREADABLE)
    assert "image 3" in message


def test_missing_pixel_data_are_refused(tmp_path: Path) -> None:
    def drop(dataset: Dataset) -> None:
        del dataset.PixelData

    message = refusal(ct_series().modify(only(5, drop)).write(tmp_path), RejectionReason.UNREADABLE)
    assert "image 6" in message


def test_an_enhanced_ct_with_too_few_frame_positions_is_refused(tmp_path: Path) -> None:
    enhanced = enhanced_ct()
    del enhanced.PerFrameFunctionalGroupsSequence[-1]
    path = tmp_path / "enhanced.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    refusal([path], RejectionReason.MISSING_GEOMETRY)
