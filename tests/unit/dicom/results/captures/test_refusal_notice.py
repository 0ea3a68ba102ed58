"""A refusal notice states series, reason and remedy, from whatever can be read of the headers."""

from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag

from node.dicom.results.captures.refusal_notice import Refusal, encode, notice_page
from node.dicom.results.pages.layout import PlacedText, lay_out
from node.domain.identifiers import Uid, mint_uid
from node.domain.series import SeriesPart
from tests.support.dicom.builders import MADE_AT, ct_series
from tests.support.dicom.nested_sequences import with_defined_length
from tests.support.dicom.result_content import read_back
from tests.support.dicom.results import part10

REASON = "Slices are missing: about 3 of 24 slices did not arrive. Send the series again."
STUDY = Uid("1.2.3")


def refusal(*headers: Dataset) -> Refusal:
    return Refusal(
        study_instance_uid=STUDY,
        headers=headers,
        instance_count=max(len(headers), 1),
        rule="abdomen",
        model="liver-ct 0.3.0",
        reason=REASON,
        made_at=MADE_AT,
    )


def notice(made: Refusal) -> Dataset:
    return encode(
        made,
        series_instance_uid=mint_uid("notice", "series"),
        sop_instance_uid=mint_uid("notice", "instance"),
    )


def page_text(made: Refusal) -> str:
    elements = lay_out(notice_page(made))
    return " ".join(e.text for e in elements if isinstance(e, PlacedText))


def headers() -> list[Dataset]:
    def describe(_index: int, dataset: Dataset) -> None:
        dataset.PatientName = "Doe^Jane"
        dataset.PatientID = "4711"
        dataset.SeriesNumber = 4
        dataset.SeriesDescription = "Abdomen"
        del dataset.PixelData

    return list(ct_series().modify(describe).datasets)


def test_the_notice_states_series_reason_rule_and_model_but_not_the_patient() -> None:
    shown = page_text(refusal(*headers()))
    for text in (
        "Not segmented",
        REASON,
        "Series 4: Abdomen",
        "24 images",
        "Selected by the rule abdomen",
        "liver-ct 0.3.0",
        "2026-05-04",
    ):
        assert text in shown
    assert "Doe" not in shown
    assert "4711" not in shown


def test_the_notice_is_a_capture_in_the_study_of_the_series() -> None:
    sources = headers()
    dataset = read_back(notice(refusal(*sources)))
    assert dataset.StudyInstanceUID == STUDY
    assert dataset.SeriesInstanceUID == mint_uid("notice", "series")
    assert dataset.SOPInstanceUID == mint_uid("notice", "instance")
    assert dataset.SeriesDescription == "Not segmented, liver-ct 0.3.0"
    assert dataset.PatientID == "4711"
    assert dataset.BurnedInAnnotation == "NO"
    assert dataset.RecognizableVisualFeatures == "NO"
    assert pixel_array(dataset).shape == (1448, 1024, 3)
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == sources[0].SeriesInstanceUID
    referenced = {i.ReferencedSOPInstanceUID for i in dataset.ReferencedImageSequence}
    assert referenced == {source.SOPInstanceUID for source in sources}


def test_a_series_without_a_readable_header_has_a_notice() -> None:
    dataset = read_back(notice(refusal()))
    assert dataset.StudyInstanceUID == STUDY
    assert not dataset.PatientID
    assert "ReferencedSeriesSequence" not in dataset
    assert "Series without number" in page_text(refusal())


def damaged(keyword: str, vr: str, value: bytes) -> Dataset:
    """Returns a header with bytes that are invalid for the element."""
    header = headers()[0]
    tag = Tag(keyword)
    header._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return header


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # pydicom's, about the damage
@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("SeriesNumber", "IS", b"four"),
        ("SeriesDate", "UL", b"\x01"),
        ("PatientName", "FD", b"\x01\x02"),
        ("PatientWeight", "DS", b"heavy"),
        ("SOPInstanceUID", "US", b"\x01"),
        ("TimezoneOffsetFromUTC", "FD", b"\x01"),
        ("Manufacturer", "SL", b"\x01"),
        ("RequestAttributesSequence", "SQ", b"\xfe\xff\x00\xe0\xff"),
        ("ImagePositionPatient", "DS", b"1\\x"),
        ("SpecificCharacterSet", "CS", b"ISO_IR 999"),
    ],
)
def test_damaged_elements_are_left_out(keyword: str, vr: str, value: bytes) -> None:
    dataset = read_back(notice(refusal(damaged(keyword, vr, value))))
    assert dataset.StudyInstanceUID == STUDY
    assert dataset.PatientID == "4711"
    assert REASON in page_text(refusal(damaged(keyword, vr, value)))


def test_sequences_that_are_nested_too_deeply_are_left_out() -> None:
    nested = with_defined_length(Tag("ContentSequence"), 200)
    header = dcmread(BytesIO(part10(headers()[0]) + nested))
    assert "ContentSequence" in header
    assert read_back(notice(refusal(header))).PatientID == "4711"


def test_a_very_long_reason_stays_on_the_page() -> None:
    long = replace(refusal(), reason="A reason with words. " * 100)
    assert page_text(long).count("A reason with words.") > 50
    assert pixel_array(read_back(notice(long))).shape == (1448, 1024, 3)


def test_equal_refusals_give_equal_bytes() -> None:
    assert part10(notice(refusal(*headers()))) == part10(notice(refusal(*headers())))


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        notice(replace(refusal(), made_at=MADE_AT.replace(tzinfo=None)))


def test_the_notice_of_a_part_names_it() -> None:
    part = SeriesPart("AcquisitionNumber", "2", 2, 3, 24, 24, "digest")
    whole = refusal(*headers())
    made = replace(whole, part=part)
    assert notice(made).SeriesDescription == "Not segmented, acquisition 2, liver-ct 0.3.0"
    assert notice(made).SeriesNumber != notice(whole).SeriesNumber
    text = page_text(made)
    assert "refused a part of this series" in text
    assert "Only acquisition 2 of 3 parts" in text
