"""The FHIR R4 transaction bundle."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydantic import BaseModel

from node.delivery.his.fhir_bundle import transaction
from node.domain.errors import Rejected
from node.domain.report import Issuer, Quantity, Report, ReportCode, ReportIdentifier
from node.settings import FhirDestination, ObservationCode
from tests.support.reports import REPORT, with_patient

Resource = dict[str, Any]


def options(**changes: Any) -> FhirDestination:
    return FhirDestination.model_validate(
        {"kind": "fhir", "url": "http://fhir.example/r4", **changes}
    )


def bundle_of(report: Report = REPORT, **changes: Any) -> Resource:
    bundle: Resource = json.loads(transaction(report, options(**changes)))
    return bundle


def resources(bundle: Resource, kind: str) -> list[Resource]:
    return [
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == kind
    ]


def observations(bundle: Resource) -> dict[str, Resource]:
    """The observations by the node's own code."""
    return {
        coding["code"]: one
        for one in resources(bundle, "Observation")
        for coding in one["code"]["coding"]
        if coding["system"].startswith("urn:oid:2.25.")
    }


def test_every_resource_is_created_only_if_the_server_lacks_it() -> None:
    bundle = bundle_of()
    assert bundle["type"] == "transaction"
    conditions = []
    for entry in bundle["entry"]:
        identifier = entry["resource"]["identifier"][0]
        assert entry["request"] == {
            "method": "POST",
            "url": entry["resource"]["resourceType"],
            "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
        }
        conditions.append(entry["request"]["ifNoneExist"])
    assert len(set(conditions)) == len(conditions)


def test_equal_reports_give_equal_bundles() -> None:
    assert transaction(REPORT, options()) == transaction(replace(REPORT), options())


def test_another_job_has_other_resources_and_the_same_device() -> None:
    first, second = bundle_of(), bundle_of(replace(REPORT, job_id="job-2"))
    for kind, same in (("Device", True), ("Observation", False), ("DiagnosticReport", False)):
        of_first, of_second = (
            {one["identifier"][0]["value"] for one in resources(bundle, kind)}
            for bundle in (first, second)
        )
        assert (of_first == of_second) is same
        assert same or not of_first & of_second


def test_references_inside_the_bundle_have_their_targets() -> None:
    bundle = bundle_of()
    names = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(names)) == len(names)
    (report,) = resources(bundle, "DiagnosticReport")
    assert [one["reference"] for one in report["result"]] == names[1:-1]
    assert {one["device"]["reference"] for one in resources(bundle, "Observation")} == {names[0]}


def test_a_volume_has_value_unit_code_and_site() -> None:
    kidney = observations(bundle_of())["right-kidney-volume"]
    assert kidney["valueQuantity"] == {
        "value": 160.0, "unit": "mL", "system": "http://unitsofmeasure.org", "code": "mL"
    }  # fmt: skip
    codes = {(one["system"], one["code"]) for one in kidney["code"]["coding"]}
    assert ("http://snomed.info/sct", "118565006") in codes
    assert kidney["code"]["text"] == "Right kidney volume"
    (site,) = kidney["bodySite"]["coding"]
    assert (site["system"], site["code"]) == ("http://snomed.info/sct", "9846003")
    assert kidney["method"]["coding"][0]["code"] == "123110"
    assert kidney["status"] == "preliminary"
    assert kidney["effectiveDateTime"] == "2026-05-04T10:11:12+02:00"
    assert kidney["derivedFrom"] == [
        {
            "type": "ImagingStudy",
            "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.4"},
        }
    ]


def test_a_lower_bound_is_compared_and_an_attenuation_is_not() -> None:
    found = observations(bundle_of())
    volume, mean = found["liver-volume"]["valueQuantity"], found["liver-mean"]["valueQuantity"]
    assert (volume["value"], volume["comparator"]) == (1234.57, ">=")
    assert (mean["value"], mean["code"], mean.get("comparator")) == (55.2, "[hnsf'U]", None)


def test_an_organ_that_was_not_found_has_a_reason_and_no_value() -> None:
    spleen = observations(bundle_of())["spleen-volume"]
    assert "valueQuantity" not in spleen
    assert spleen["dataAbsentReason"]["text"] == "organ not found in the series"


def test_the_report_names_patient_order_study_and_conclusion() -> None:
    (report,) = resources(bundle_of(status="final"), "DiagnosticReport")
    assert report["status"] == "final"
    assert report["subject"]["identifier"]["system"] == "urn:oid:1.2.40.0.34"
    assert report["subject"]["identifier"]["value"] == "PAT-4711"
    assert [one["identifier"]["value"] for one in report["basedOn"]] == ["PLACER-1", "ACC-1"]
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.3.4"
    assert report["code"]["coding"] == [{"system": "http://loinc.org", "code": "18748-4"}]
    assert "Spleen: not found." in report["conclusion"].split("\n")


def test_the_narrative_is_xhtml_with_the_link_to_the_viewer() -> None:
    series = replace(REPORT.series, description="<b>&")
    url = "https://viewer.example/?a=1&StudyInstanceUIDs={study}"
    (report,) = resources(bundle_of(replace(REPORT, series=series), viewer_url=url),
                          "DiagnosticReport")  # fmt: skip
    div = ET.fromstring(report["text"]["div"])  # noqa: S314 # the node's own text
    xhtml = "{http://www.w3.org/1999/xhtml}"
    assert div.tag == f"{xhtml}div"
    assert "<b>&" in (div[1].text or "")
    link = div.find(f"{xhtml}p/{xhtml}a")
    assert link is not None
    assert link.get("href") == "https://viewer.example/?a=1&StudyInstanceUIDs=1.2.3.4"


def test_the_device_states_node_model_and_weights() -> None:
    (device,) = resources(bundle_of(), "Device")
    assert [one["value"] for one in device["version"]] == ["0.1.0", "0.3.0", "ab" * 32]
    assert device["note"][0]["text"] == REPORT.notice


@pytest.mark.parametrize(
    ("identifier", "system"),
    [
        (ReportIdentifier("1", Issuer("", "1.2", "ISO")), "urn:oid:1.2"),
        (ReportIdentifier("1", Issuer("", "https://a.example", "URI")), "https://a.example"),
        (ReportIdentifier("1", Issuer("A")), "urn:oid:9.9"),
        (ReportIdentifier("1", Issuer("A", "a.example", "DNS")), "urn:oid:9.9"),
    ],
)
def test_the_system_of_the_patient_is_that_of_the_source_or_of_the_settings(
    identifier: ReportIdentifier, system: str
) -> None:
    bundle = bundle_of(with_patient(identifier=identifier), patient_system="urn:oid:9.9")
    (report,) = resources(bundle, "DiagnosticReport")
    assert report["subject"]["identifier"]["system"] == system


def test_a_patient_can_be_searched_for() -> None:
    report = with_patient(identifier=ReportIdentifier("A|1&x=ü", Issuer("", "1.2", "ISO")))
    (encoded,) = resources(bundle_of(report, patient_reference="search"), "DiagnosticReport")
    reference = encoded["subject"]["reference"]
    assert reference == "Patient?identifier=urn:oid:1.2|A%7C1%26x%3D%C3%BC"


def test_a_search_without_a_system_would_find_strangers_and_is_refused() -> None:
    report = with_patient(identifier=ReportIdentifier("1"))
    with pytest.raises(Rejected, match="patient_system"):
        transaction(report, options(patient_reference="search"))


@pytest.mark.parametrize(
    ("study", "moment"),
    [({"utc_offset": ""}, "2026-05-04"), ({"time": "1011"}, "2026-05-04T10:11:00+02:00"),
     ({"date": ""}, None)],
)  # fmt: skip
def test_the_time_of_day_needs_its_zone(study: dict[str, Any], moment: str | None) -> None:
    (report,) = resources(
        bundle_of(replace(REPORT, study=replace(REPORT.study, **study))), "DiagnosticReport"
    )
    assert report.get("effectiveDateTime") == moment


def test_codes_of_the_site_come_first() -> None:
    code = ObservationCode(
        organ="Liver", quantity=Quantity.MEAN, code="1", scheme="https://a.example", meaning="LM"
    )
    liver = observations(bundle_of(codes=[code.model_dump()]))["liver-mean"]
    assert liver["code"]["coding"][0] == {
        "system": "https://a.example", "code": "1", "display": "LM"
    }  # fmt: skip


def test_an_organ_whose_scheme_fhir_does_not_know_is_named_in_words() -> None:
    organ = replace(REPORT.organs[0], code=ReportCode("1", "99OTHER", "Spare liver"))
    found = observations(bundle_of(replace(REPORT, organs=(organ,))))
    assert found["liver-volume"]["bodySite"] == {"text": "Spare liver"}


def test_a_report_that_fhir_cannot_express_is_refused_without_its_values() -> None:
    report = replace(REPORT, study=replace(REPORT.study, date="99999999"))
    with pytest.raises(Rejected, match="effectiveDateTime") as caught:
        transaction(report, options())
    assert "PAT-4711" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_closed_sets_of_codes_hold_every_code() -> None:
    """fhir.resources checks types and cardinality; R4 also closes the sets of some codes."""
    bundle = Bundle.model_validate_json(
        transaction(REPORT, options(viewer_url="https://viewer.example/{study}"))
    )
    checked = {name for name, _ in _closed_codes(bundle)}
    assert {"status", "type", "method"} <= checked
    for name, is_member in _closed_codes(bundle):
        assert is_member, name


def _closed_codes(element: Any) -> Iterator[tuple[str, bool]]:
    if isinstance(element, list):
        for one in element:
            yield from _closed_codes(one)
    if not isinstance(element, BaseModel):
        return
    for name, field in type(element).model_fields.items():
        value = getattr(element, name)
        extra = field.json_schema_extra
        allowed = extra.get("enum_values") if isinstance(extra, dict) else None
        if isinstance(value, str) and isinstance(allowed, list):
            yield name, value in allowed
        else:
            yield from _closed_codes(value)
