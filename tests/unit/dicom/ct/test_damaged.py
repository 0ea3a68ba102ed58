"""Files that lack what a slice needs, or arrived damaged, are refused with the reason."""

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
from node.dicom.results.context import carry_context
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.instance import Door, Origin
from node.intake.dataset_elements import Encoding, walk
from node.intake.part10 import file_of, received_from_file
from tests.support.dicom import nested_sequences as nested
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series, enhanced_ct
from tests.support.peers.refusing_peer import every, only, refusal
from tests.support.stored import EXPLICIT


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
def test_a_missing_geometry_attribute(keyword: str, tmp_path: Path) -> None:
    def drop(dataset: Dataset) -> None:
        del dataset[keyword]

    message = refusal(
        ct_series().changed(every(drop)).write(tmp_path), RejectionReason.MISSING_GEOMETRY
    )
    assert keyword in message


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_geometry_attribute_that_is_no_number(tmp_path: Path) -> None:
    def spoil(dataset: Dataset) -> None:
        raw = RawDataElement(Tag("PixelSpacing"), "DS", 8, b"wide\\far", 0, False, True)
        dataset["PixelSpacing"] = raw

    message = refusal(ct_series().changed(every(spoil)).write(tmp_path), RejectionReason.UNREADABLE)
    assert "cannot be read" in message


def test_an_orientation_that_is_none(tmp_path: Path) -> None:
    def spoil(dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]

    refusal(ct_series().changed(every(spoil)).write(tmp_path), RejectionReason.MISSING_GEOMETRY)


def test_a_single_slice(tmp_path: Path) -> None:
    files = ct_series(geometry=grid(slices=1))
    refusal(files.write(tmp_path), RejectionReason.TOO_FEW_SLICES)


def test_no_files_at_all() -> None:
    refusal([], RejectionReason.UNREADABLE)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_disk_that_cannot_be_read_for_now_is_no_refusal(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_path: Path, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    files = ct_series().write(tmp_path)
    monkeypatch.setattr("node.dicom.ct.headers.dcmread", fails)
    with pytest.raises(Transient, match="an image cannot be read"):
        read_series(files)


def test_a_file_that_is_no_dicom(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    paths[4].write_bytes(b"this is a letter, not an image" * 20)
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert paths[4].name in message


@pytest.mark.parametrize(
    "nesting",
    [
        nested.of_undefined_length,
        nested.of_defined_length,
        nested.hidden,
    ],
)
@pytest.mark.parametrize("keyword", ["ReferencedSeriesSequence", "RequestAttributesSequence"])
def test_sequences_nested_without_end(
    keyword: str, nesting: nested.Nesting, tmp_path: Path
) -> None:
    paths = ct_series().write(tmp_path)
    tag = Tag(keyword)
    for path in paths:
        received = received_from_file(path, Origin(Door.FOLDER, "test"))
        elements = walk(received.dataset, Encoding.of(EXPLICIT))
        at = next(element.head for element in elements if element.tag > tag)
        deep = received.dataset[:at] + nesting(tag, 10_000) + received.dataset[at:]
        path.write_bytes(file_of(replace(received, dataset=deep)))
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "nested too deeply" in message


def test_a_patient_id_of_no_known_representation(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    paths[4].write_bytes(paths[4].read_bytes().replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0L\x18"))
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "cannot be read" in message


def test_a_patient_attribute_of_no_known_representation_is_left_out(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"\x10\0\x10\0PN", b"\x10\0\x10\0P\x18"))
    result = Dataset()
    carry_context(read_series(paths).sources[0], result, [])
    assert result["PatientName"].is_empty


def test_a_file_cut_off_in_its_header(tmp_path: Path) -> None:
    paths = ct_series().write(tmp_path)
    paths[4].write_bytes(paths[4].read_bytes()[:700])
    with pytest.raises(Rejected):
        read_series(paths)


@pytest.mark.parametrize("rows", [40, 400], ids=["small", "deferred"])
def test_pixel_data_cut_off(rows: int, tmp_path: Path) -> None:
    paths = ct_series(geometry=grid(slices=4, rows=rows)).write(tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-1000])
    message = refusal(paths, RejectionReason.UNREADABLE)
    assert "did not arrive whole" in message or "cannot be read" in message


def test_damaged_jpeg_2000(tmp_path: Path) -> None:
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
def test_a_compressed_stream_that_stops_half_way(syntax: UID, tmp_path: Path) -> None:
    def cut(dataset: Dataset) -> None:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
        dataset.PixelData = encapsulate([stream[: len(stream) // 4 * 2]])

    files = ct_series(geometry=grid(slices=4, rows=200), transfer_syntax_uid=syntax)
    message = refusal(files.changed(only(2, cut)).write(tmp_path), RejectionReason.UNREADABLE)
    assert "image 3" in message


def test_a_run_length_stream_that_panics_its_decoder(tmp_path: Path) -> None:
    def overrun(dataset: Dataset) -> None:
        stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
        # Runs of 128 pixels each, beyond the last one of the picture.
        dataset.PixelData = encapsulate([stream[:-40] + b"\x81\xff" * 20])

    files = ct_series(transfer_syntax_uid=RLELossless).changed(only(2, overrun))
    message = refusal(files.write(tmp_path), RejectionReason.UNREADABLE)
    assert "image 3" in message


def test_no_pixel_data(tmp_path: Path) -> None:
    def drop(dataset: Dataset) -> None:
        del dataset.PixelData

    message = refusal(
        ct_series().changed(only(5, drop)).write(tmp_path), RejectionReason.UNREADABLE
    )
    assert "image 6" in message


def test_an_enhanced_ct_that_places_too_few_frames(tmp_path: Path) -> None:
    enhanced = enhanced_ct()
    del enhanced.PerFrameFunctionalGroupsSequence[-1]
    path = tmp_path / "enhanced.dcm"
    enhanced.save_as(path, enforce_file_format=True)
    refusal([path], RejectionReason.MISSING_GEOMETRY)
