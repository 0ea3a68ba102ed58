"""Identification of encoded instances from the head of the data set."""

import struct
import zlib
from io import BytesIO

import pytest
from pydicom import dcmread

from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.intake.identification import IdentifiedInstance, identify
from node.intake.part10 import part10_bytes, part10_header, received_from_part10
from tests.support.factories import CT_IMAGE, EXPLICIT, encoded
from tests.support.shared_data import ct_files

IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
ORIGIN = Origin(Channel.FOLDER, "test")
FRAME_OF_REFERENCE = "1.2.99"


def identified(dataset: bytes, syntax: str = EXPLICIT, **command_uids: str) -> IdentifiedInstance:
    return identify(dataset, Uid(syntax), ORIGIN, **command_uids)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_an_instance_is_identified_in_every_encoding(syntax: str) -> None:
    dataset = encoded(transfer_syntax_uid=syntax)
    result = identified(dataset, syntax)
    assert result.filled_in_uids == ()
    assert result.received.sop_class_uid == CT_IMAGE
    assert result.received.sop_instance_uid == "1.2.3.1"
    assert result.received.series_instance_uid == "1.2.3"
    assert result.received.study_instance_uid == "1.2"
    assert result.received.dataset is dataset


@pytest.mark.parametrize("series", ["chaos-set3", "dcmqi-3slice"])
def test_real_instances_are_identified_as_by_pydicom(series: str) -> None:
    for path in ct_files(series)[:3]:
        data = path.read_bytes()
        mine, other = received_from_part10(data, ORIGIN), dcmread(path, stop_before_pixels=True)
        assert mine.sop_instance_uid == other.SOPInstanceUID
        assert mine.series_instance_uid == other.SeriesInstanceUID
        assert mine.study_instance_uid == other.StudyInstanceUID
        assert mine.sop_class_uid == other.SOPClassUID
        assert mine.transfer_syntax_uid == str(other.file_meta.TransferSyntaxUID)
        assert data.endswith(mine.dataset)


def test_emptied_uids_are_filled_in_equally_for_a_whole_series() -> None:
    files = ct_files("siemens-j2k")
    received = [received_from_part10(path.read_bytes(), ORIGIN) for path in files]
    assert len({one.series_instance_uid for one in received}) == 1
    assert len({one.study_instance_uid for one in received}) == 1
    assert len({one.sop_instance_uid for one in received}) == len(files) == 20
    one = received[0]
    dataset = dcmread(BytesIO(part10_bytes(one)))
    assert dataset.SeriesInstanceUID == one.series_instance_uid
    assert dataset.SOPInstanceUID == one.sop_instance_uid
    original = dcmread(files[0])
    assert [element.tag for element in dataset] == [element.tag for element in original]
    assert dataset.PixelData == original.PixelData


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_filled_in_uids_are_readable_and_the_rest_stays_unchanged(syntax: str) -> None:
    nameless = encoded(
        sop_class_uid="",
        sop_instance_uid="",
        series_instance_uid="",
        study_instance_uid="",
        transfer_syntax_uid=syntax,
        attributes={"FrameOfReferenceUID": FRAME_OF_REFERENCE},
    )
    first = identified(nameless, syntax, sop_class_uid=CT_IMAGE, sop_instance_uid="1.5")
    assert first.filled_in_uids == (
        "SOP Class UID",
        "SOP Instance UID",
        "Study Instance UID",
        "Series Instance UID",
    )
    again = identified(first.received.dataset, syntax)
    assert again.filled_in_uids == ()
    assert again.received == first.received
    assert first.received.sop_instance_uid == "1.5"
    named = encoded(
        sop_class_uid=CT_IMAGE,
        sop_instance_uid="1.5",
        study_instance_uid=first.received.study_instance_uid,
        series_instance_uid=first.received.series_instance_uid,
        transfer_syntax_uid=syntax,
        attributes={"FrameOfReferenceUID": FRAME_OF_REFERENCE},
    )
    assert first.received.dataset == named


def test_series_of_one_study_get_different_filled_in_uids() -> None:
    def filled_in(slice_thickness: str) -> ReceivedInstance:
        shared = {"FrameOfReferenceUID": FRAME_OF_REFERENCE, "SliceThickness": slice_thickness}
        dataset = encoded(study_instance_uid="", series_instance_uid="", attributes=shared)
        return identified(dataset).received

    thin, thick = filled_in("1"), filled_in("5")
    assert thin.study_instance_uid == thick.study_instance_uid
    assert thin.series_instance_uid != thick.series_instance_uid


def test_without_a_frame_of_reference_uid_no_series_uid_is_filled_in() -> None:
    with pytest.raises(Rejected, match="no Series Instance UID") as refused:
        identified(encoded(series_instance_uid=""))
    assert refused.value.reason is RejectionReason.INVALID_INSTANCE


def test_a_path_is_not_a_valid_uid() -> None:
    with pytest.raises(Rejected, match="not a valid DICOM UID"):
        identified(encoded().replace(b"1.2.3.1\0", b"../../x\0"))


def nested(depth: int) -> bytes:
    """Returns `depth` nested sequences of undefined length, none closed."""
    level = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return (level + item) * depth


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (b"", "no SOP Class UID"),
        (b"garbage that is not DICOM at all", "cannot be read as DICOM"),
        (bytes(1000), "cannot be read as DICOM"),
        (b"\x08\x00\x16\x00UI\xff\xff1.2", "ends within the element \\(0008,0016\\)"),
        (b"\x08\x00\x16\x00UI", "ends within an element"),
        (nested(10_000), "nested too deeply"),
        (nested(3), "ends within an element"),
        (nested(1)[:12] + b"\x08\x00\x16\x00UI\x02\x001\0", "not nested properly"),
        (encoded()[:60], "cannot be (read|accepted)"),
    ],
    ids=["empty", "text", "zeros", "long", "short", "deep", "open", "no-item", "truncated"],
)
def test_invalid_dicom_is_refused_with_a_reason(dataset: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        identified(dataset)


def test_a_closed_sequence_of_undefined_length_is_skipped() -> None:
    close = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    head = encoded()
    # It is before the first element, which no real writer does.
    assert identified(nested(20) + close * 20 + head).received.sop_instance_uid == "1.2.3.1"


def deflated(*pieces: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return b"".join(map(deflater.compress, pieces)) + deflater.flush()


def deflated_with_zeros(head: bytes, *, megabytes: int) -> bytes:
    """`head` and that many million zeros, deflated; the zeros of one megabyte are repeated."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = deflater.compress(head) + deflater.flush(zlib.Z_FULL_FLUSH)
    zeros = deflater.compress(bytes(1_000_000)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return start + zeros * megabytes + deflater.flush()


def test_inflating_a_deflated_data_set_is_limited() -> None:
    element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 200_000_000)
    with pytest.raises(Rejected, match="ends within the element"):  # within its head
        identified(deflated_with_zeros(element, megabytes=200), DEFLATED)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 600_000_000)
    bomb = deflated_with_zeros(encoded() + pixels, megabytes=600)
    assert len(bomb) < 1_000_000
    with pytest.raises(Rejected, match="holds over 512 MiB"):
        identified(bomb, DEFLATED)


def test_a_damaged_or_truncated_deflated_data_set_is_refused() -> None:
    with pytest.raises(Rejected, match="cannot be inflated"):
        identified(b"\xff\xff\xff\xff", DEFLATED)
    with pytest.raises(Rejected, match="ends too early"):
        identified(encoded(transfer_syntax_uid=DEFLATED)[:-3], DEFLATED)


def test_a_file_that_is_not_dicom_is_refused() -> None:
    with pytest.raises(Rejected, match="not a DICOM file"):
        received_from_part10(b"x" * 500, ORIGIN)
    with pytest.raises(Rejected, match="names no transfer syntax"):
        received_from_part10(bytes(128) + b"DICM" + encoded(), ORIGIN)


def test_an_executable_preamble_is_dropped() -> None:
    instance = identified(encoded()).received
    program = b"MZ" + b"\x90" * 126
    received = received_from_part10(
        program + part10_header(instance)[128:] + instance.dataset, ORIGIN
    )
    assert received == instance
    assert part10_header(received)[:128] == bytes(128)
