"""Results copy the patient, study and trial attributes of their source unchanged."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from node.dicom.ct.reader import read_series
from node.dicom.results.context import COPIED_KEYWORDS
from node.domain.texts.result_texts import ResultTexts
from tests.support.dicom.builders import ct_series
from tests.support.dicom.results import content_of, encoded_seg


def result_of(source: Dataset, directory: Path, texts: ResultTexts | None = None) -> Dataset:
    """Encodes the result of a series that has the attributes of `source`; writes and reads it."""

    def update(_index: int, dataset: Dataset) -> None:
        dataset.update(source)

    series = read_series(ct_series().modify(update).write(directory))
    dataset = encoded_seg(content_of(series, texts=texts))
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream)


def item(**values: object) -> Items:
    only = Dataset()
    for keyword, value in values.items():
        setattr(only, keyword, value)
    return Items([only])


def code(value: str) -> Items:
    return item(CodeValue=value, CodingSchemeDesignator="99TEST", CodeMeaning=f"meaning {value}")


@pytest.fixture
def rich_source() -> Dataset:
    """A source that has every attribute that a result must copy."""
    source = Dataset()
    source.PatientName = "DOE^JANE^^^"
    source.PatientID = "4711"
    source.IssuerOfPatientID = "HOSPITAL"
    source.IssuerOfPatientIDQualifiersSequence = item(UniversalEntityID="1.2.3")
    source.OtherPatientIDsSequence = item(PatientID="0815", TypeOfPatientID="TEXT")
    source.PatientBirthDate = "19500102"
    source.PatientSex = "F"
    source.PatientAge = "076Y"
    source.PatientWeight = "61.5"
    source.PatientIdentityRemoved = "YES"
    source.DeidentificationMethod = "by hand"
    source.DeidentificationMethodCodeSequence = code("113100")
    source.StudyDescription = "CT abdomen"
    source.AccessionNumber = "A-1"
    source.IssuerOfAccessionNumberSequence = item(LocalNamespaceEntityID="RIS")
    source.ReferringPhysicianName = "HOUSE^GREGORY"
    source.ReferringPhysicianIdentificationSequence = item(
        PersonIdentificationCodeSequence=code("P1"), InstitutionName="PPTH"
    )
    source.ProcedureCodeSequence = code("CTABD")
    source.ReasonForPerformedProcedureCodeSequence = code("PAIN")
    source.PhysiciansOfRecord = "CUDDY^LISA"
    source.RequestAttributesSequence = item(
        RequestedProcedureID="RP1", ScheduledProcedureStepID="SPS1", AccessionNumber="A-1"
    )
    source.ClinicalTrialSponsorName = "SPONSOR"
    source.ClinicalTrialProtocolID = "PROTOCOL"
    source.ClinicalTrialProtocolName = ""
    source.ClinicalTrialSiteID = "SITE"
    source.ClinicalTrialSiteName = ""
    source.ClinicalTrialSubjectID = "SUBJECT"
    source.ClinicalTrialTimePointID = "BASELINE"
    source.ClinicalTrialCoordinatingCenterName = ""
    source.PositionReferenceIndicator = "XY"
    source.AdmissionID = "ADM"
    return source


def test_attributes_of_the_source_are_copied_unchanged(
    rich_source: Dataset, tmp_path: Path
) -> None:
    result = result_of(rich_source, tmp_path)
    for element in rich_source:
        assert result[element.tag] == element, element.keyword
    assert result.StudyDate == "20260101"
    assert result.StudyID == "1"


def test_attributes_that_the_source_lacks_stay_absent(tmp_path: Path) -> None:
    source = Dataset()
    source.StudyDescription = ""
    result = result_of(source, tmp_path)
    assert [keyword for keyword in COPIED_KEYWORDS if keyword in result] == []


def test_type_2_attributes_are_present_and_empty(tmp_path: Path) -> None:
    source = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(source, keyword, None)
    result = result_of(source, tmp_path)
    for keyword in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
        "ContentCreatorName",
        "PositionReferenceIndicator",
    ):
        assert keyword in result
        assert not result[keyword].value


def test_attributes_of_the_acquisition_are_not_copied(tmp_path: Path) -> None:
    source = Dataset()
    source.ProtocolName = "Abdomen"
    source.PerformedProcedureStepID = "PPS"
    source.ClinicalTrialSeriesID = "SERIES"
    source.InstitutionName = "PPTH"
    result = result_of(source, tmp_path)
    assert all(element.keyword not in result for element in source)


def test_the_character_set_of_the_source_is_kept(tmp_path: Path) -> None:
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 100"
    source.PatientName = "MÜLLER^JÖRG"
    texts = ResultTexts(series_description="Leber, nicht für die Diagnose")
    result = result_of(source, tmp_path, texts)
    assert result.SpecificCharacterSet == "ISO_IR 100"
    assert str(result.PatientName) == "MÜLLER^JÖRG"
    assert result.SeriesDescription == "Leber, nicht für die Diagnose"


def test_a_text_outside_the_character_set_of_the_source_selects_utf_8(tmp_path: Path) -> None:
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 100"
    source.PatientName = "MÜLLER^JÖRG"
    source.OtherPatientIDsSequence = item(PatientID="Ü1", TypeOfPatientID="TEXT")
    source.ReferringPhysicianName = "GRÜN^ÅSA"
    result = result_of(source, tmp_path, ResultTexts(series_description="肝臓、診断用ではない"))
    assert result.SpecificCharacterSet == "ISO_IR 192"
    assert result.SeriesDescription == "肝臓、診断用ではない"
    assert str(result.PatientName) == "MÜLLER^JÖRG"
    assert str(result.ReferringPhysicianName) == "GRÜN^ÅSA"
    assert result.OtherPatientIDsSequence[0].PatientID == "Ü1"


def test_a_japanese_name_keeps_its_three_representations(tmp_path: Path) -> None:
    source = Dataset()
    source.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    source.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    result = result_of(source, tmp_path)
    assert list(result.SpecificCharacterSet) == ["", "ISO 2022 IR 87"]
    assert result.PatientName.ideographic == "山田^太郎"
    assert result.PatientName.phonetic == "やまだ^たろう"


def test_an_absent_character_set_stays_absent(tmp_path: Path) -> None:
    assert "SpecificCharacterSet" not in result_of(Dataset(), tmp_path)


def test_the_body_part_is_that_of_the_source_or_else_the_organ(tmp_path: Path) -> None:
    source = Dataset()
    source.BodyPartExamined = "CHEST"
    assert result_of(source, tmp_path / "said").BodyPartExamined == "CHEST"
    source.BodyPartExamined = ""
    assert result_of(source, tmp_path / "silent").BodyPartExamined == "LIVER"


def test_lossy_compression_of_the_source_is_declared(tmp_path: Path) -> None:
    source = Dataset()
    source.LossyImageCompression = "01"
    source.LossyImageCompressionRatio = "9.5"
    source.LossyImageCompressionMethod = "ISO_15444_1"
    result = result_of(source, tmp_path)
    assert result.LossyImageCompression == "01"
    assert result.LossyImageCompressionRatio == 9.5


@pytest.mark.filterwarnings("ignore:Invalid value|The value length|Expected implicit")
def test_values_that_violate_the_standard_do_not_prevent_a_result(tmp_path: Path) -> None:
    """Real headers hold such values; readable values are copied, the others are omitted."""

    def spoil(_index: int, dataset: Dataset) -> None:
        for tag, vr, value in (
            (0x00101030, "DS", b"70 kg "),  # PatientWeight
            (0x00101010, "AS", b"76"),  # PatientAge
            (0x00100020, "LO", b"4711 " * 20),  # PatientID
            (0x00080020, "DA", b"2026.01.01"),  # StudyDate
            (0x00100040, "CS", b"weiblich"),  # PatientSex
        ):
            dataset[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)

    series = read_series(ct_series().modify(spoil).write(tmp_path))
    dataset = encoded_seg(content_of(series))
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    result = dcmread(BytesIO(stream.getvalue()))
    assert result.get("PatientWeight") is None, repr(result["PatientWeight"])
    assert result.PatientID == ("4711 " * 20).strip()
    assert result.PatientSex == "weiblich"
    assert result.StudyDate == "2026.01.01"


@pytest.mark.parametrize(("keyword", "vr"), [("PatientID", "SH"), ("PatientName", "LO")])
def test_an_identifier_with_another_text_vr_is_kept(tmp_path: Path, keyword: str, vr: str) -> None:
    source = Dataset()
    source.add_new(keyword, vr, "4711")
    assert str(result_of(source, tmp_path)[keyword].value) == "4711"


def test_a_patient_id_that_only_later_slices_have_is_copied(tmp_path: Path) -> None:
    def forget(index: int, dataset: Dataset) -> None:
        dataset.PatientID = "" if index == 0 else "4711"

    series = read_series(ct_series().modify(forget).write(tmp_path))
    dataset = encoded_seg(content_of(series))
    assert dataset.PatientID == "4711"


@pytest.mark.parametrize("thickness", [None, "", "5.0 mm"])
def test_a_missing_thickness_becomes_the_distance_between_slices(
    tmp_path: Path, thickness: str | None
) -> None:
    source = Dataset()
    if thickness == "5.0 mm":
        tag = Tag("SliceThickness")
        source[tag] = RawDataElement(tag, "DS", 6, b"5.0 mm", 0, False, True)
    else:
        source.SliceThickness = thickness
    result = result_of(source, tmp_path)
    measures = result.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("given", "expected"), [("Abdomen", "ABDOMEN"), ("Abdomen/Pelvis with contrast", "LIVER")]
)
def test_a_body_part_that_is_no_code_string_is_replaced(
    tmp_path: Path, given: str, expected: str
) -> None:
    source = Dataset()
    tag = Tag("BodyPartExamined")
    source[tag] = RawDataElement(tag, "CS", len(given), given.encode(), 0, False, True)
    assert result_of(source, tmp_path).BodyPartExamined == expected


def test_an_invalid_time_zone_is_not_copied(tmp_path: Path) -> None:
    source = Dataset()
    source.TimezoneOffsetFromUTC = "+2500"
    assert result_of(source, tmp_path).TimezoneOffsetFromUTC != "+2500"


def test_an_incomplete_lossy_compression_is_not_copied(tmp_path: Path) -> None:
    source = Dataset()
    source.LossyImageCompression = ""
    assert "LossyImageCompressionRatio" not in result_of(source, tmp_path)


@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set")
def test_an_undefined_character_set_is_not_copied(tmp_path: Path) -> None:
    source = Dataset()
    tag = Tag("SpecificCharacterSet")
    source[tag] = RawDataElement(tag, "CS", 10, b"ISO-IR 100", 0, False, True)
    source.PatientName = "Müller^Jörg"
    result = result_of(source, tmp_path)
    assert result.SpecificCharacterSet == "ISO_IR 192"
    assert str(result.PatientName) == "Müller^Jörg"
