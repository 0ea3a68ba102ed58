"""The ORU^R01 message, read back by another library (python-hl7)."""

from dataclasses import replace
from typing import Any

import hl7
import pytest
from hl7apy.parser import parse_message
from hypothesis import given, settings
from hypothesis import strategies as st

from node.delivery.his.oru_message import oru_message
from node.domain.report import (
    Issuer,
    NameComponents,
    OrganReport,
    Quantity,
    Report,
    ReportIdentifier,
    ReportName,
)
from node.settings import Hl7Destination, ObservationCode
from tests.support.reports import REPORT, with_patient


def options(**changes: Any) -> Hl7Destination:
    return Hl7Destination.model_validate({"kind": "hl7", "host": "his", "port": 2575, **changes})


def read(report: Report = REPORT, **changes: Any) -> Any:
    """The message as python-hl7 reads it."""
    block = oru_message(report, options(**changes), "control-1")
    assert block[0] == "\x0b"
    assert block[-3:] == "\r\x1c\r"
    return hl7.parse(block[1:-2])


def results(message: Any) -> dict[str, Any]:
    """The OBX segments by the first component of OBX-3."""
    return {str(obx[3][0][0][0]): obx for obx in message["OBX"]}


def text(message: Any, element: Any) -> str:
    return str(message.unescape(str(element)))


def test_the_message_conforms_to_its_structure() -> None:
    changes = {"viewer_url": "https://viewer.example/?StudyInstanceUIDs={study}"}
    block = oru_message(REPORT, options(**changes), "control-1")

    parsed = parse_message(block[1:-2])
    assert parsed.validate()
    assert parsed.name == "ORU_R01"


def test_equal_reports_give_equal_messages() -> None:
    assert oru_message(REPORT, options(), "a") == oru_message(replace(REPORT), options(), "a")


def test_the_header_states_sender_receiver_and_character_set() -> None:
    message = read(
        sending_facility="Radiology", receiving_application="HIS", receiving_facility="Hospital"
    )
    msh = message["MSH"][0]
    assert [str(msh[i]) for i in (3, 4, 5, 6)] == ["SEGNODE", "Radiology", "HIS", "Hospital"]
    assert str(msh[7]) == "20260504123000+0000"
    assert str(msh[9]) == "ORU^R01^ORU_R01"
    assert [str(msh[i]) for i in (10, 11, 12, 18)] == ["control-1", "P", "2.5.1", "UNICODE UTF-8"]


def test_the_patient_is_that_of_the_source() -> None:
    (pid,) = read()["PID"]
    assert str(pid[3]) == "PAT-4711^^^Süd&1.2.40.0.34&ISO^PI"
    assert [str(name) for name in pid[5]] == [
        "Müller-Yamada^Tarō^J.^MSc^Dr.^^^A",
        "山田^太郎^^^^^^I",
        "やまだ^たろう^^^^^^P",
    ]
    assert [str(pid[i]) for i in (7, 8)] == ["19610203", "M"]


def test_the_authority_of_the_settings_stands_in_for_an_unnamed_issuer() -> None:
    report = with_patient(identifier=ReportIdentifier("4711"))
    assert str(read(report, patient_authority="MPI")["PID"][0][3]) == "4711^^^MPI^PI"
    assert str(read(report)["PID"][0][3]) == "4711^^^^PI"
    named = with_patient(identifier=ReportIdentifier("4711", Issuer("", "1.2", "ISO")))
    assert str(read(named, patient_authority="MPI")["PID"][0][3]) == "4711^^^&1.2&ISO^PI"


def test_an_unknown_name_is_unspecified_and_absent_values_stay_absent() -> None:
    (pid,) = read(with_patient(name=ReportName(), birth_date="", sex=""))["PID"]
    assert str(pid[5]) == "^^^^^^U"
    assert len(pid) <= 6


def test_visit_and_order_are_those_of_the_source() -> None:
    message = read()
    (pv1,), (orc,), (obr,) = message["PV1"], message["ORC"], message["OBR"]
    assert [str(pv1[i]) for i in (2, 8, 19)] == ["U", "^Weiß^Eva^^^Prof.^^^^^^^^^A", "VISIT-9"]
    assert [str(orc[i]) for i in (1, 2, 3)] == ["RE", "PLACER-1^HIS", "FILLER-1^RIS"]
    assert [str(obr[i]) for i in (2, 3, 4)] == [
        "PLACER-1^HIS",
        "FILLER-1^RIS",
        "CTABD^CT of the abdomen^99HOSP",
    ]
    assert str(obr[7]) == "20260504101112+0200"
    assert [str(obr[i]) for i in (18, 19)] == ["ACC-1", "RP-1"]
    assert [str(obr[i]) for i in (22, 24, 25)] == ["20260504123000+0000", "RAD", "P"]


def test_without_an_order_the_accession_number_identifies_the_request() -> None:
    order = replace(REPORT.order, filler_order=ReportIdentifier(), requested_procedure_code=None)
    (obr,) = read(replace(REPORT, order=order))["OBR"]
    assert str(obr[3]) == "ACC-1^RIS"
    assert str(obr[4]) == "organ-segmentation^Organ segmentation in CT^99SEGNODE"


@pytest.mark.parametrize(
    ("study", "observed"),
    [
        ({"utc_offset": ""}, "20260504101112"),
        ({"time": "1011"}, "202605041011+0200"),
        ({"time": ""}, "20260504"),
        ({"date": ""}, ""),
    ],
)
def test_the_time_is_as_precise_as_that_of_the_source(study: dict[str, Any], observed: str) -> None:
    message = read(replace(REPORT, study=replace(REPORT.study, **study)))
    assert str(message["OBR"][0][7]) == observed


def test_a_measured_volume_is_a_number_with_its_unit() -> None:
    obx = results(read())["right-kidney-volume"]
    assert str(obx[2]) == "NM"
    assert str(obx[3]) == "right-kidney-volume^Right kidney volume^99SEGNODE^118565006^Volume^SCT"
    assert [str(obx[i]) for i in (5, 6, 11)] == ["160.00", "mL^mL^UCUM", "P"]
    assert str(obx[14]) == "20260504101112+0200"
    assert str(obx[17]) == "123110^Artificial Intelligence^DCM"
    assert str(obx[18]).startswith("organs-ct 0.3.0^SEGNODE^2.25.")


def test_the_volume_of_an_organ_that_the_scan_cuts_is_a_lower_bound() -> None:
    obx = results(read())["liver-volume"]
    assert [str(obx[i]) for i in (2, 5, 11)] == ["SN", ">=^1234.57", "P"]


def test_an_organ_that_was_not_found_has_no_value() -> None:
    found = results(read())
    obx = found["spleen-volume"]
    assert [str(obx[i]) for i in (2, 5, 11)] == ["NM", "", "X"]
    assert "spleen-mean" not in found


def test_attenuations_have_their_own_codes() -> None:
    found = results(read())
    values = {
        quantity.value: str(found[f"liver-{quantity.value}"][5])
        for quantity in Quantity
        if quantity is not Quantity.VOLUME
    }
    assert values == {
        "mean": "55.2", "standard-deviation": "12.5", "minimum": "-20.0", "maximum": "140.0"
    }  # fmt: skip
    assert str(found["liver-mean"][6]) == "[hnsf'U]^HU^UCUM"
    # A standard deviation is no attenuation: no standard code may call it one.
    assert "112031" in str(found["liver-mean"][3])
    assert "112031" not in str(found["liver-standard-deviation"][3])


def test_codes_of_the_site_come_first() -> None:
    code = ObservationCode(
        organ="Liver", quantity=Quantity.VOLUME, code="LV", scheme="99HOSP", meaning="Liver vol"
    )
    found = results(read(codes=[code.model_dump()]))
    assert str(found["LV"][3]) == "LV^Liver vol^99HOSP^liver-volume^Liver volume^99SEGNODE"
    assert "right-kidney-volume" in found


def test_the_summary_has_one_line_for_each_sentence() -> None:
    message = read()
    lines = [obx for obx in message["OBX"] if str(obx[2]) == "TX"]
    assert [str(obx[4]) for obx in lines] == [str(i) for i in range(1, len(lines) + 1)]
    texts = [text(message, obx[5]) for obx in lines]
    assert texts[0] == "Automatic segmentation, not for diagnostic use."
    assert "series 4 (Abdomen KM), 120 slices" in texts[1]
    assert texts[2].startswith("Liver: volume at least 1234.57 mL, mean attenuation 55.2 HU")
    assert "Spleen: not found." in texts
    assert texts[-1] == "No spleen was found."


def test_the_summary_of_a_marked_result_asks_for_a_check() -> None:
    message = read(replace(REPORT, is_marked=True))
    lines = [str(obx[5]) for obx in message["OBX"] if str(obx[2]) == "TX"]
    assert lines[1] == "Check the findings before use."


def test_the_study_and_the_viewer_are_linked() -> None:
    message = read(viewer_url="https://viewer.example/?a=1&StudyInstanceUIDs={study}")
    found = results(message)
    study, link = found["113014"], found["viewer-link"]
    assert [str(study[i]) for i in (2, 5, 11)] == ["ST", "1.2.3.4", "O"]
    assert str(link[2]) == "RP"
    url = text(message, link[5][0][0])
    assert url == "https://viewer.example/?a=1&StudyInstanceUIDs=1.2.3.4"
    assert [str(one) for one in link[5][0][1:]] == ["SEGNODE", "TEXT", "HTML"]


def test_without_a_viewer_there_is_no_link() -> None:
    assert "viewer-link" not in results(read())


def test_results_are_numbered() -> None:
    message = read()
    assert [str(obx[1]) for obx in message["OBX"]] == [
        str(i) for i in range(1, len(message["OBX"]) + 1)
    ]


def test_final_results_are_marked_as_such() -> None:
    message = read(status="final")
    assert str(message["OBR"][0][25]) == "F"
    assert {str(obx[11]) for obx in message["OBX"]} == {"F", "O", "X"}


NASTY = [
    "a|b^c&d~e\\f",
    "\\F\\ \\E\\ \\.br\\ \\X0D\\",
    "\\",
    "\\\\T\\",
    "MSH|^~\\&|",
    "Ünïcödé 山田 😀",
]


@pytest.mark.parametrize("nasty", NASTY)
def test_separators_in_texts_arrive_unchanged(nasty: str) -> None:
    report = with_patient(
        identifier=ReportIdentifier(nasty, Issuer(nasty)),
        name=ReportName(NameComponents(family=nasty, given=nasty)),
    )
    order = replace(REPORT.order, placer_order=ReportIdentifier(nasty))
    series = replace(REPORT.series, description=nasty)
    message = read(replace(report, order=order, series=series))

    (pid,) = message["PID"]
    assert text(message, pid[3][0][0]) == nasty
    assert text(message, pid[3][0][3][0]) == nasty
    assert [text(message, pid[5][0][i]) for i in (0, 1)] == [nasty, nasty]
    assert text(message, message["ORC"][0][2]) == nasty
    summary = next(o for o in message["OBX"] if str(o[2]) == "TX" and str(o[4]) == "2")
    assert nasty in text(message, summary[5])


def test_a_line_break_in_a_text_starts_no_segment() -> None:
    report = with_patient(identifier=ReportIdentifier("1\rPID|1||2\x1c\r\x0b\n"))
    message = read(report)
    assert len(message["PID"]) == 1
    assert "\x1c" not in str(message)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)


@given(_TEXTS, _TEXTS, _TEXTS)
@settings(max_examples=30)  # hl7apy takes some 50 ms for a message
def test_any_text_leaves_the_structure_as_it_is(name: str, identifier: str, label: str) -> None:
    organ = OrganReport(label or "x", REPORT.organs[0].code, True, False, 12.0)
    report = with_patient(
        name=ReportName(NameComponents(name, identifier)), identifier=ReportIdentifier(identifier)
    )
    message = read(replace(report, organs=(organ,), findings=()))

    (pid,) = message["PID"]
    assert len(message["OBX"]) == 1 + 1 + 3
    if name:
        assert text(message, pid[5][0][0]) == name
    if identifier:
        assert text(message, pid[3][0][0]) == identifier
