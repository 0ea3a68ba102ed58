"""The report of a job has what the source's header says, and no more."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from models.measurement import Measurement, measure
from node.dicom.ct.reader import CtSeries, parts_of_series, read_series
from node.dicom.report_content import report_of
from node.dicom.results.content import ResultContent
from node.domain.findings import Finding, FindingKind
from node.domain.report import Issuer, NameComponents, Report, ReportCode, ReportIdentifier
from node.domain.result_objects import ResultKind, ResultObject
from tests.support.dicom.builders import MADE_AT, ThresholdSegmenter, ct_series
from tests.support.dicom.phases import two_phases

_FINDING = Finding(FindingKind.HOLES, "Liver", "The liver has holes.")


def content_of(source: CtSeries) -> ResultContent:
    segmenter = ThresholdSegmenter()
    mask = segmenter.predict(source.volume)
    return ResultContent(
        job_id="job",
        source=source,
        mask=mask,
        spec=segmenter.spec,
        measurements=measure(source.volume, mask),
        findings=(_FINDING,),
        made_at=MADE_AT,
    )


def content(directory: Path, change: Callable[[Dataset], None]) -> ResultContent:
    """The content of a job whose source headers `change` modifies, from files."""
    series = ct_series().modify(lambda _, dataset: change(dataset))
    return content_of(read_series(series.write(directory)))


def report(directory: Path, change: Callable[[Dataset], None]) -> Report:
    return report_of(content(directory, change), [ResultObject(ResultKind.SEG)])


def item(**values: object) -> Items:
    only = Dataset()
    for keyword, value in values.items():
        setattr(only, keyword, value)
    return Items([only])


def full(dataset: Dataset) -> None:
    """Every attribute that a report has."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Müller^Jörg^Karl^Dr.^MSc=山田^太郎=やまだ^たろう"
    dataset.PatientID = "4711"
    dataset.IssuerOfPatientID = "SÜD"
    dataset.IssuerOfPatientIDQualifiersSequence = item(
        UniversalEntityID="1.2.3", UniversalEntityIDType="ISO"
    )
    dataset.PatientBirthDate = "19610203"
    dataset.PatientSex = "M"
    dataset.StudyDate, dataset.StudyTime = "20260504", "101112.345"
    dataset.TimezoneOffsetFromUTC = "+0200"
    dataset.AccessionNumber = "ACC"
    dataset.IssuerOfAccessionNumberSequence = item(LocalNamespaceEntityID="RIS")
    dataset.AdmissionID = "V1"
    dataset.StudyDescription = "Abdomen"
    dataset.ReferringPhysicianName = "Weiß^Eva"
    dataset.SeriesNumber, dataset.SeriesDescription = 4, "S4 KM"
    request = item(
        AccessionNumber="ACC",
        RequestedProcedureID="RP1",
        RequestedProcedureDescription="CT",
        RequestedProcedureCodeSequence=item(
            CodeValue="C1", CodingSchemeDesignator="99H", CodeMeaning="CT of the abdomen"
        ),
        PlacerOrderNumberImagingServiceRequest="P1",
        OrderPlacerIdentifierSequence=item(LocalNamespaceEntityID="HIS"),
        FillerOrderNumberImagingServiceRequest="F1",
    )
    dataset.RequestAttributesSequence = request


def test_the_header_is_in_the_report(tmp_path: Path) -> None:
    made = report(tmp_path, full)

    assert made.patient.identifier == ReportIdentifier("4711", Issuer("SÜD", "1.2.3", "ISO"))
    assert made.patient.name.alphabetic == NameComponents("Müller", "Jörg", "Karl", "Dr.", "MSc")
    assert made.patient.name.ideographic == NameComponents("山田", "太郎")
    assert made.patient.name.phonetic == NameComponents("やまだ", "たろう")
    assert (made.patient.birth_date, made.patient.sex) == ("19610203", "M")
    study = made.study
    assert (study.date, study.time, study.utc_offset) == ("20260504", "101112", "+0200")
    assert study.accession == ReportIdentifier("ACC", Issuer("RIS"))
    assert (study.admission.value, study.description) == ("V1", "Abdomen")
    assert study.referring_physician.alphabetic == NameComponents("Weiß", "Eva")
    order = made.order
    assert order.placer_order == ReportIdentifier("P1", Issuer("HIS"))
    assert order.filler_order == ReportIdentifier("F1")
    assert (order.requested_procedure_id, order.requested_procedure_description) == ("RP1", "CT")
    assert order.requested_procedure_code == ReportCode("C1", "99H", "CT of the abdomen")
    assert (made.series.number, made.series.description) == (4, "S4 KM")
    assert Report.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_are_decoded_from_their_character_set(
    tmp_path: Path, character_set: object, name: str
) -> None:
    def change(dataset: Dataset) -> None:
        dataset.SpecificCharacterSet = character_set
        dataset.PatientName = name

    found = report(tmp_path, change).patient.name
    groups = [(one.family, one.given) for one in (found.alphabetic, found.ideographic)]
    expected = [tuple(group.split("^")) for group in name.split("=")[:2]]
    assert groups[: len(expected)] == expected


def test_absent_attributes_stay_absent(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate",
                        "StudyTime", "AccessionNumber", "ReferringPhysicianName",
                        "SeriesNumber", "SeriesDescription", "StudyDescription",
                        "TimezoneOffsetFromUTC"):  # fmt: skip
            if keyword in dataset:
                del dataset[keyword]

    made = report(tmp_path, change)
    assert made.patient.identifier == ReportIdentifier()
    assert made.personal_data() == ()
    assert (made.study.date, made.study.time, made.study.utc_offset) == ("", "", "")
    assert made.series.number is None
    assert made.order.requested_procedure_code is None


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", b"unknown "),
        ("PatientBirthDate", b"19990231"),
        ("StudyDate", b"2026"),
        ("StudyTime", b"25:00 "),
        ("TimezoneOffsetFromUTC", b"CET "),
        ("SeriesNumber", b"four"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.filterwarnings("ignore:Value 'four'")
def test_damaged_values_are_absent(tmp_path: Path, keyword: str, value: bytes) -> None:
    intact = content(tmp_path, full)
    for header in intact.source.sources:
        tag = Tag(keyword)
        header._dict[tag] = RawDataElement(tag, None, len(value), value, 0, True, True)

    made = report_of(intact, [])
    assert {
        "PatientBirthDate": made.patient.birth_date,
        "StudyDate": made.study.date,
        "StudyTime": made.study.time,
        "TimezoneOffsetFromUTC": made.study.utc_offset,
        "SeriesNumber": made.series.number or "",
    }[keyword] == ""
    assert made.patient.identifier.value == "4711"


def test_old_formats_of_date_and_time_are_read(tmp_path: Path) -> None:
    intact = content(tmp_path, full)
    for header in intact.source.sources:
        for keyword, value in (("StudyDate", b"2026.05.04"), ("StudyTime", b"10:11:12")):
            tag = Tag(keyword)
            header._dict[tag] = RawDataElement(tag, None, len(value), value, 0, True, True)

    made = report_of(intact, [])
    assert (made.study.date, made.study.time) == ("20260504", "101112")


def test_the_header_with_a_patient_id_counts(tmp_path: Path) -> None:
    series = ct_series()
    for dataset in series.datasets[:-1]:
        dataset.PatientID = ""
    series.datasets[-1].PatientID = "4711"
    made = report_of(content_of(read_series(series.write(tmp_path))), [])

    assert made.patient.identifier.value == "4711"


def test_of_several_requests_the_one_of_the_accession_number_counts(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        dataset.AccessionNumber = "B"
        dataset.RequestAttributesSequence = Items(
            [*item(AccessionNumber="A", RequestedProcedureID="1"),
             *item(AccessionNumber="B", RequestedProcedureID="2")]
        )  # fmt: skip

    assert report(tmp_path, change).order.requested_procedure_id == "2"


def test_of_several_requests_none_is_guessed(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        dataset.AccessionNumber = ""
        dataset.RequestAttributesSequence = Items(
            [*item(AccessionNumber="A", RequestedProcedureID="1"),
             *item(AccessionNumber="B", RequestedProcedureID="2")]
        )  # fmt: skip

    made = report(tmp_path, change)
    assert made.order.requested_procedure_id == ""
    assert made.study.accession.value == ""


def test_a_single_request_supplies_the_accession_number(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        dataset.AccessionNumber = ""
        dataset.RequestAttributesSequence = item(AccessionNumber="A")

    assert report(tmp_path, change).study.accession.value == "A"


def test_measurements_findings_model_and_objects_are_those_of_the_job(tmp_path: Path) -> None:
    source = content(tmp_path, full)
    seg = ResultObject(ResultKind.SEG)
    made = report_of(source, [seg, ResultObject(ResultKind.REPORT)])

    (organ,) = made.organs
    measured = source.measurements["Liver"]
    assert (organ.label, organ.code.value, organ.found) == ("Liver", "10200004", True)
    assert (organ.volume_ml, organ.mean_hu) == (measured.volume_ml, measured.mean_hu)
    assert (organ.std_hu, organ.min_hu, organ.max_hu) == (
        measured.sd_hu, measured.min_hu, measured.max_hu
    )  # fmt: skip
    assert made.findings == (_FINDING,)
    assert made.created_at == MADE_AT
    assert made.model.weights_sha256 == source.spec.weights_sha256
    uids = source.uids(seg)
    assert [(one.name, one.sop_instance_uid) for one in made.objects] == [
        ("seg", uids.sop_instance_uid())
    ]


@pytest.mark.parametrize("cut_by_series", [False, True])
@pytest.mark.parametrize("touches_field_of_view", [False, True])
def test_an_organ_that_may_continue_outside_has_a_lower_bound(
    tmp_path: Path, cut_by_series: bool, touches_field_of_view: bool
) -> None:
    measured = Measurement(
        12.0, 50.0, cut_by_series=cut_by_series, touches_field_of_view=touches_field_of_view
    )
    source = replace(content(tmp_path, full), measurements={"Liver": measured})
    (organ,) = report_of(source, []).organs
    assert organ.is_lower_bound == (cut_by_series or touches_field_of_view)


def test_a_marked_result_is_marked_in_its_report(tmp_path: Path) -> None:
    source = content(tmp_path, full)
    assert not report_of(source, []).is_marked
    assert report_of(replace(source, is_marked=True), []).is_marked


@pytest.mark.parametrize(
    "measurement",
    [Measurement(0.0, None, cut_by_series=False), Measurement(3.0, 50.0, cut_by_series=True), None],
)
def test_an_organ_that_was_not_found_has_no_measurements(
    tmp_path: Path, measurement: Measurement | None
) -> None:
    source = content(tmp_path, full)
    label = replace(source.spec.labels[0], min_volume_ml=5.0)
    changed = replace(
        source,
        spec=replace(source.spec, labels=(label,)),
        measurements={} if measurement is None else {"Liver": measurement},
    )
    (organ,) = report_of(changed, []).organs

    assert (organ.found, organ.is_lower_bound) == (False, False)
    assert (organ.volume_ml, organ.mean_hu) == (None, None)


def test_line_breaks_in_texts_become_spaces(tmp_path: Path) -> None:
    intact = content(tmp_path, full)
    for header in intact.source.sources:
        tag = Tag("StudyDescription")
        header._dict[tag] = RawDataElement(tag, None, 6, b"a\r\nb\x1cc", 0, True, True)

    assert report_of(intact, []).study.description == "a b c"


def test_the_report_of_a_part_names_it(tmp_path: Path) -> None:
    paths = two_phases().write(tmp_path)
    described = []
    for part in parts_of_series(paths):
        source = read_series(paths, part=part)
        series = report_of(content_of(source), [ResultObject(ResultKind.SEG)]).series
        assert series.slice_count == part.slice_count
        described.append(series.description)
    assert [text.rpartition(", ")[2] for text in described] == ["acquisition 1", "acquisition 2"]
