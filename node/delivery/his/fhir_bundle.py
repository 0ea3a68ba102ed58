"""Encodes a report as a FHIR R4 transaction bundle.

Each resource has an identifier that depends on the job alone, and is created only where the server
has none with that identifier. fhir.resources validates the bundle; its models are those of R4B, in
which the resources used here are the same as in R4.
"""

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from fhir.resources.R4B.bundle import Bundle
from pydantic import ValidationError

from node.delivery.his.observations import METHOD, Observation, observations_of, summary_lines
from node.domain.coding_schemes import CODE_SYSTEMS, LOCAL_SCHEME, code_system
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid, mint_uid
from node.domain.report import Report, ReportCode, ReportIdentifier, ReportStudy
from node.settings import FhirDestination

_Resource = dict[str, Any]

_URI_SYSTEM = "urn:ietf:rfc:3986"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_XHTML = "http://www.w3.org/1999/xhtml"
# The document title of PS3.16 CID 7000 for a report of imaging.
_REPORT_CODE = ReportCode("18748-4", "LN", "")
_REPORT_TEXT = "Organ segmentation in CT"


def transaction(report: Report, options: FhirDestination) -> str:
    """Returns the bundle as JSON; equal arguments give equal texts.

    Raises:
        Rejected: the report makes no valid resources, or the patient cannot be searched for.
    """
    device = _device(report)
    subject = _patient(report, options)
    observations = [
        _observation(report, one, subject, options.status)
        for one in observations_of(report, options.codes)
    ]
    diagnostic_report = _diagnostic_report(report, observations, subject, options)
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(one) for one in (device, *observations, diagnostic_report)],
    }
    try:
        return Bundle.model_validate(bundle).model_dump_json(exclude_none=True)
    except ValidationError as error:
        # Without its cause, whose text quotes the values.
        where = {".".join(map(str, detail["loc"])) for detail in error.errors()}
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            f"the report makes no valid FHIR resources: {', '.join(sorted(where))}",
        ) from None


def _entry(resource: _Resource) -> _Resource:
    kind, uri = resource["resourceType"], resource["identifier"][0]["value"]
    request = {"method": "POST", "url": kind, "ifNoneExist": f"identifier={_URI_SYSTEM}|{uri}"}
    return {"fullUrl": _full_url(resource), "resource": resource, "request": request}


def _full_url(resource: _Resource) -> str:
    """Returns the name by which the bundle's resources refer to each other."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, resource['identifier'][0]['value'])}"


def _own_identifier(uid: Uid) -> _Resource:
    return {"system": _URI_SYSTEM, "value": f"urn:oid:{uid}"}


def _device(report: Report) -> _Resource:
    """The release of the node with the version of the model: one device for all their reports."""
    model = report.model
    identity = (model.node_version, model.model_id, model.version, model.weights_sha256)
    return {
        "resourceType": "Device",
        "identifier": [_own_identifier(mint_uid("fhir device", *identity))],
        "status": "active",
        "manufacturer": "segnode",
        "deviceName": [
            {"name": f"segnode with {model.model_id} {model.version}", "type": "model-name"}
        ],
        "type": {"text": "Software that segments organs in CT"},
        "version": [
            {"type": {"text": "segnode"}, "value": model.node_version},
            {"type": {"text": f"model {model.model_id}"}, "value": model.version},
            {"type": {"text": "SHA-256 of the weights"}, "value": model.weights_sha256},
        ],
        "note": [{"text": report.notice}],
    }


def _observation(
    report: Report, observation: Observation, subject: _Resource, status: str
) -> _Resource:
    resource: _Resource = {
        "resourceType": "Observation",
        "identifier": [
            _own_identifier(mint_uid("fhir observation", report.job_id, observation.key))
        ],
        "status": status,
        "category": [_concept("imaging", f"{_TERMINOLOGY}/observation-category")],
        "code": _code(observation.codes),
        "subject": subject,
        "issued": report.created_at.isoformat(),
        "bodySite": _code([observation.organ.code]),
        "method": _code([METHOD]),
        "device": {"reference": _full_url(_device(report))},
        "derivedFrom": [_imaging_study(report.study)],
        **_effective_time(report.study),
    }
    if observation.value:
        resource["valueQuantity"] = _quantity(observation)
    else:
        resource["dataAbsentReason"] = {
            **_concept("unknown", f"{_TERMINOLOGY}/data-absent-reason"),
            "text": "not measured" if observation.organ.found else "organ not found in the series",
        }
    return resource


def _quantity(observation: Observation) -> _Resource:
    unit = observation.unit
    bound = {"comparator": ">="} if observation.is_lower_bound else {}
    return {
        "value": observation.value,
        "unit": unit.meaning,
        "system": CODE_SYSTEMS[unit.scheme],
        "code": unit.value,
        **bound,
    }


def _diagnostic_report(
    report: Report, observations: Sequence[_Resource], subject: _Resource, options: FhirDestination
) -> _Resource:
    lines = summary_lines(report)
    orders = _orders(report)
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [_own_identifier(mint_uid("fhir report", report.job_id))],
        "text": {"status": "generated", "div": _narrative(lines, report, options.viewer_url)},
        "status": options.status,
        "category": [_concept("RAD", f"{_TERMINOLOGY}/v2-0074")],
        "code": {**_code([_REPORT_CODE]), "text": _REPORT_TEXT},
        "subject": subject,
        "issued": report.created_at.isoformat(),
        "result": [{"reference": _full_url(one)} for one in observations],
        "imagingStudy": [_imaging_study(report.study)],
        "conclusion": "\n".join(lines),
        **({"basedOn": orders} if orders else {}),
        **_effective_time(report.study),
    }


def _narrative(lines: Sequence[str], report: Report, viewer_url: str) -> str:
    div = ET.Element("div", xmlns=_XHTML)
    for line in lines:
        ET.SubElement(div, "p").text = line
    if viewer_url:
        url = viewer_url.format(study=report.study.study_instance_uid)
        ET.SubElement(ET.SubElement(div, "p"), "a", href=url).text = "Images in the viewer"
    return ET.tostring(div, encoding="unicode")


def _patient(report: Report, options: FhirDestination) -> _Resource:
    """Returns the reference to the patient: by identifier, or a search that the server resolves.

    Raises:
        Rejected: the search would find patients of any hospital, because no system is known.
    """
    identifier = report.patient.identifier
    system = _system(identifier) or options.patient_system
    if options.patient_reference == "identifier":
        return {"type": "Patient", "identifier": _identifier(identifier, "PI", system)}
    if not system:
        raise Rejected(
            RejectionReason.INVALID_INSTANCE,
            "the source images do not name the issuer of the Patient ID: set patient_system for "
            "the destination, then retry the job",
        )
    value = quote(identifier.value, safe="")
    return {"reference": f"Patient?identifier={system}|{value}"}


def _orders(report: Report) -> list[_Resource]:
    """Returns references to the order by its placer order number and its accession number."""
    numbers = ((report.order.placer_order, "PLAC"), (report.study.accession, "ACSN"))
    return [
        {"type": "ServiceRequest", "identifier": _identifier(number, code, _system(number))}
        for number, code in numbers
        if number.value
    ]


def _identifier(identifier: ReportIdentifier, type_code: str, system: str) -> _Resource:
    resource: _Resource = {
        "type": _concept(type_code, f"{_TERMINOLOGY}/v2-0203"),
        "value": identifier.value,
    }
    if system:
        resource["system"] = system
    if identifier.issuer.name:
        resource["assigner"] = {"display": identifier.issuer.name}
    return resource


def _system(identifier: ReportIdentifier) -> str:
    """Returns the URI of the issuer's universal ID; empty where it has none."""
    issuer = identifier.issuer
    match issuer.universal_id_type:
        case "ISO":
            return f"urn:oid:{issuer.universal_id}"
        case "UUID":
            return f"urn:uuid:{issuer.universal_id.lower()}"
        case "URI":
            return issuer.universal_id
        case _:
            return ""


def _imaging_study(study: ReportStudy) -> _Resource:
    identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:{study.study_instance_uid}"}
    return {"type": "ImagingStudy", "identifier": identifier}


def _effective_time(study: ReportStudy) -> _Resource:
    """Returns the time of the study; FHIR allows no time of day without its time zone."""
    if not study.date:
        return {}
    date = f"{study.date[:4]}-{study.date[4:6]}-{study.date[6:]}"
    if not study.time or not study.utc_offset:
        return {"effectiveDateTime": date}
    time = f"{study.time[:2]}:{study.time[2:4]}:{study.time[4:] or '00'}"
    offset = f"{study.utc_offset[:3]}:{study.utc_offset[3:]}"
    return {"effectiveDateTime": f"{date}T{time}{offset}"}


def _code(codes: Sequence[ReportCode]) -> _Resource:
    """Returns a concept with the meaning of the node's own code, or of the first.

    A code whose scheme has no URI cannot be expressed, and leaves only its meaning.
    """
    codings = [
        {
            "system": code_system(code.scheme),
            "code": code.value,
            **({"display": code.meaning} if code.meaning else {}),
        }
        for code in codes
        if code_system(code.scheme)
    ]
    own = next((code for code in codes if code.scheme == LOCAL_SCHEME), codes[0])
    return {
        **({"coding": codings} if codings else {}),
        **({"text": own.meaning} if own.meaning else {}),
    }


def _concept(code: str, system: str) -> _Resource:
    return {"coding": [{"system": system, "code": code}]}
