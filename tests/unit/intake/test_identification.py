"""What an encoded data set says it is: read at the door, from the head alone."""

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


def identified(dataset: bytes, syntax: str = EXPLICIT, **beside: str) -> IdentifiedInstance:
    return identify(dataset, Uid(syntax), ORIGIN, **beside)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_an_instance_says_what_it_is_in_every_encoding(syntax: str) -> None:
    dataset = encoded(transfer_syntax_uid=syntax)
    result = identified(dataset, syntax)
    assert result.filled_in_uids == ()
    assert result.received.sop_class_uid == CT_IMAGE
    assert result.received.sop_instance_uid == "1.2.3.1"
    assert result.received.series_instance_uid == "1.2.3"
    assert result.received.study_instance_uid == "1.2"
    assert result.received.dataset is dataset


@pytest.mark.parametrize("series", ["chaos-set3", "dcmqi-3slice"])
def test_real_instances_agree_with_pydicom(series: str) -> None:
    for path in ct_files(series)[:3]:
        data = path.read_bytes()
        mine, other = received_from_part10(data, ORIGIN), dcmread(path, stop_before_pixels=True)
        assert mine.sop_instance_uid == other.SOPInstanceUID
        assert mine.series_instance_uid == other.SeriesInstanceUID
        assert mine.study_instance_uid == other.StudyInstanceUID
        assert mine.sop_class_uid == other.SOPClassUID
        assert mine.transfer_syntax_uid == str(other.file_meta.TransferSyntaxUID)
        assert data.endswith(mine.dataset)


def test_uids_that_an_anonymiser_emptied_are_filled_in_alike_for_a_whole_series() -> None:
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
def test_what_is_filled_in_is_read_again_and_all_else_stays(syntax: str) -> None:
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


def test_series_of_one_study_are_told_apart_when_their_uids_are_filled_in() -> None:
    def minted(slice_thickness: str) -> ReceivedInstance:
        shared = {"FrameOfReferenceUID": FRAME_OF_REFERENCE, "SliceThickness": slice_thickness}
        dataset = encoded(study_instance_uid="", series_instance_uid="", attributes=shared)
        return identified(dataset).received

    thin, thick = minted("1"), minted("5")
    assert thin.study_instance_uid == thick.study_instance_uid
    assert thin.series_instance_uid != thick.series_instance_uid


def test_without_a_frame_of_reference_nothing_ties_a_series_together() -> None:
    with pytest.raises(Rejected, match="no Series Instance UID") as refused:
        identified(encoded(series_instance_uid=""))
    assert refused.value.reason is RejectionReason.INVALID_INSTANCE


def test_a_path_is_no_uid() -> None:
    with pytest.raises(Rejected, match="not a valid DICOM UID"):
        identified(encoded().replace(b"1.2.3.1\0", b"../../x\0"))


def nested(depth: int) -> bytes:
    """A sequence in a sequence in a sequence, all of undefined length, none closed."""
    level = struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF)
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return (level + item) * depth


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        (b"", "no SOP Class UID"),
        (b"garbage that is no DICOM at all", "cannot be read as DICOM"),
        (bytes(1000), "cannot be read as DICOM"),
        (b"\x08\x00\x16\x00UI\xff\xff1.2", "ends within the element \\(0008,0016\\)"),
        (b"\x08\x00\x16\x00UI", "ends within an element"),
        (nested(10_000), "nested too deeply"),
        (nested(3), "ends within an element"),
        (nested(1)[:12] + b"\x08\x00\x16\x00UI\x02\x001\0", "not nested properly"),
        (encoded()[:60], "cannot be (read|taken)"),
    ],
    ids=["empty", "text", "zeros", "long", "short", "deep", "open", "no-item", "truncated"],
)
def test_what_is_no_dicom_is_refused_in_words(dataset: bytes, told: str) -> None:
    with pytest.raises(Rejected, match=told):
        identified(dataset)


def test_a_closed_sequence_of_undefined_length_is_passed() -> None:
    close = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    head = encoded()
    # Before the first element, as nobody would write it, and still skipped.
    assert identified(nested(20) + close * 20 + head).received.sop_instance_uid == "1.2.3.1"


def deflated(*pieces: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return b"".join(map(deflater.compress, pieces)) + deflater.flush()


def test_a_deflated_data_set_is_inflated_within_bounds() -> None:
    element = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 200_000_000)
    with pytest.raises(Rejected, match="ends within the element"):  # of its head alone
        identified(deflated(element, bytes(200_000_000)), DEFLATED)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 600_000_000)
    bomb = deflated(encoded(), pixels, bytes(600_000_000))
    assert len(bomb) < 1_000_000
    with pytest.raises(Rejected, match="holds over 512 MiB"):
        identified(bomb, DEFLATED)


def test_a_deflated_data_set_that_is_damaged_or_cut_off_is_refused() -> None:
    with pytest.raises(Rejected, match="cannot be inflated"):
        identified(b"\xff\xff\xff\xff", DEFLATED)
    with pytest.raises(Rejected, match="ends too early"):
        identified(encoded(transfer_syntax_uid=DEFLATED)[:-3], DEFLATED)


def test_a_file_that_is_no_dicom_file_is_refused() -> None:
    with pytest.raises(Rejected, match="not a DICOM file"):
        received_from_part10(b"x" * 500, ORIGIN)
    with pytest.raises(Rejected, match="names no transfer syntax"):
        received_from_part10(bytes(128) + b"DICM" + encoded(), ORIGIN)


def test_a_preamble_that_is_a_program_does_not_come_along() -> None:
    instance = identified(encoded()).received
    program = b"MZ" + b"\x90" * 126
    received = received_from_part10(
        program + part10_header(instance)[128:] + instance.dataset, ORIGIN
    )
    assert received == instance
    assert part10_header(received)[:128] == bytes(128)
