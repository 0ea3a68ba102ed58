"""Builds the report for information systems from a job's content and its source's header.

Attributes that the header lacks, or whose value cannot be read, stay empty in the report.
"""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from models.manifest import Label
from models.measurement import Measurement, is_found
from node.dicom.ct.headers import PARSE_ERRORS
from node.dicom.equipment import this_node
from node.dicom.results.content import ResultContent
from node.domain.report import (
    Issuer,
    NameComponents,
    OrganReport,
    Report,
    ReportCode,
    ReportedObject,
    ReportIdentifier,
    ReportModel,
    ReportName,
    ReportOrder,
    ReportPatient,
    ReportSeries,
    ReportStudy,
)
from node.domain.result_objects import ResultKind, ResultObject

NOTICE = "Automatic segmentation, not for diagnostic use"
# DA is YYYYMMDD; ACR-NEMA wrote YYYY.MM.DD (PS3.5 6.2).
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
# TM is HHMMSS.FFFFFF, of which all but HH may be absent; ACR-NEMA wrote HH:MM:SS (PS3.5 6.2).
_TIME = re.compile(r"([01]\d|2[0-3]):?([0-5]\d)(?::?([0-5]\d))?(?:\.\d{1,6})?")
_UTC_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")
# Characters that end a line or a field somewhere; an identifier or name has none.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def report_of(content: ResultContent, objects: Sequence[ResultObject]) -> Report:
    """Returns the report of a job that produces these objects, of which it names those of DICOM."""
    sources = content.source.sources
    header = next((one for one in sources if _text(one, "PatientID")), sources[0])
    order = _request(header)
    return Report(
        job_id=content.job_id,
        patient=_patient(header),
        study=_study(header, order),
        order=_order(header, order),
        series=ReportSeries(
            series_instance_uid=_text(header, "SeriesInstanceUID"),
            number=_whole_number(header, "SeriesNumber"),
            description=_described(content, header),
            slice_count=content.source.slice_count,
        ),
        model=ReportModel(
            model_id=content.spec.model_id,
            version=content.spec.version,
            manufacturer=content.spec.manufacturer,
            weights_sha256=content.spec.weights_sha256,
            node_version=this_node().software_version,
        ),
        organs=tuple(
            _organ(label, content.measurements.get(label.name)) for label in content.spec.labels
        ),
        findings=content.findings,
        created_at=content.made_at,
        objects=tuple(
            _reported(content, one) for one in objects if one.kind is not ResultKind.REPORT
        ),
        notice=NOTICE,
        is_marked=content.is_marked,
    )


def _described(content: ResultContent, header: Dataset) -> str:
    """Returns the description of the source series, with the part of it that was segmented."""
    part = content.source.part
    texts = [_text(header, "SeriesDescription"), "" if part is None else part.title]
    return ", ".join(text for text in texts if text)


def _reported(content: ResultContent, result_object: ResultObject) -> ReportedObject:
    uids = content.uids(result_object)
    return ReportedObject(result_object.name, uids.series_instance_uid, uids.sop_instance_uid())


def _organ(label: Label, measurement: Measurement | None) -> OrganReport:
    code = ReportCode(label.type.value, label.type.scheme, label.type.meaning)
    if measurement is None or not is_found(measurement, label):
        return OrganReport(label.name, code, found=False, is_lower_bound=False, volume_ml=None)
    return OrganReport(
        label=label.name,
        code=code,
        found=True,
        is_lower_bound=measurement.is_lower_bound,
        volume_ml=_finite(measurement.volume_ml),
        mean_hu=_finite(measurement.mean_hu),
        std_hu=_finite(measurement.sd_hu),
        min_hu=_finite(measurement.min_hu),
        max_hu=_finite(measurement.max_hu),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _patient(header: Dataset) -> ReportPatient:
    """PS3.3 C.7.1.1 and C.2.2 (the same attributes in the Patient Identification module)."""
    qualifiers = next(_items(header, "IssuerOfPatientIDQualifiersSequence"), Dataset())
    issuer = Issuer(
        _text(header, "IssuerOfPatientID"),
        _text(qualifiers, "UniversalEntityID"),
        _text(qualifiers, "UniversalEntityIDType"),
    )
    return ReportPatient(
        identifier=ReportIdentifier(_text(header, "PatientID"), issuer),
        name=_name(header, "PatientName"),
        birth_date=_date(header, "PatientBirthDate"),
        sex=_text(header, "PatientSex"),
    )


def _study(header: Dataset, request: Dataset) -> ReportStudy:
    """PS3.3 C.7.2.1, and the visit of C.7.2.2."""
    source = header if _text(header, "AccessionNumber") else request
    accession = _text(source, "AccessionNumber")
    admission = _issuer(header, "IssuerOfAdmissionIDSequence")
    return ReportStudy(
        study_instance_uid=_text(header, "StudyInstanceUID"),
        date=_date(header, "StudyDate"),
        time=_time(header, "StudyTime"),
        utc_offset=_utc_offset(header),
        description=_text(header, "StudyDescription"),
        accession=ReportIdentifier(accession, _issuer(source, "IssuerOfAccessionNumberSequence")),
        admission=ReportIdentifier(_text(header, "AdmissionID"), admission),
        referring_physician=_name(header, "ReferringPhysicianName"),
    )


def _request(header: Dataset) -> Dataset:
    """Returns the item of the Request Attributes Sequence that the series belongs to.

    It is the only item, or the one with the header's accession number (PS3.3 C.7.3.1). Where
    neither holds, the order is unknown, and an empty item is returned.
    """
    requests = list(_items(header, "RequestAttributesSequence"))
    if len(requests) == 1:
        return requests[0]
    accession = _text(header, "AccessionNumber")
    own = [one for one in requests if accession and _text(one, "AccessionNumber") == accession]
    return own[0] if len(own) == 1 else Dataset()


def _order(header: Dataset, request: Dataset) -> ReportOrder:
    """PS3.3 C.4.12 (Imaging Service Request) and Table 10-9 (Request Attributes Macro)."""
    parts = (request, header)
    code = next(
        (item for part in parts for item in _items(part, "RequestedProcedureCodeSequence")), None
    )
    return ReportOrder(
        placer_order=_order_number(
            parts, "PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence"
        ),
        filler_order=_order_number(
            parts, "FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence"
        ),
        requested_procedure_id=_first(parts, "RequestedProcedureID"),
        requested_procedure_description=_first(parts, "RequestedProcedureDescription"),
        requested_procedure_code=None if code is None else _code(code),
    )


def _order_number(parts: Sequence[Dataset], keyword: str, issuer: str) -> ReportIdentifier:
    for part in parts:
        if number := _text(part, keyword):
            return ReportIdentifier(number, _issuer(part, issuer))
    return ReportIdentifier()


def _code(item: Dataset) -> ReportCode | None:
    code = ReportCode(
        _text(item, "CodeValue"),
        _text(item, "CodingSchemeDesignator"),
        _text(item, "CodeMeaning"),
    )
    return code if code.value and code.scheme else None


def _issuer(dataset: Dataset, keyword: str) -> Issuer:
    """Returns the only item of a sequence of the HL7v2 Hierarchic Designator (Table 10-17)."""
    item = next(_items(dataset, keyword), Dataset())
    return Issuer(
        _text(item, "LocalNamespaceEntityID"),
        _text(item, "UniversalEntityID"),
        _text(item, "UniversalEntityIDType"),
    )


def _first(parts: Sequence[Dataset], keyword: str) -> str:
    return next((text for part in parts if (text := _text(part, keyword))), "")


def _value(dataset: Dataset, keyword: str) -> object:
    """Returns the value of an element, the first of several; None if it cannot be read."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue):
            value = value[0] if value else None
    except PARSE_ERRORS:
        return None
    return value


def _text(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    return "" if value is None else _one_line(str(value))


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    try:
        value = dataset.get(keyword)
        yield from (item for item in value or () if isinstance(item, Dataset))
    except PARSE_ERRORS:
        return


def _whole_number(dataset: Dataset, keyword: str) -> int | None:
    text = _text(dataset, keyword)
    return int(text) if re.fullmatch(r"[+-]?\d{1,12}", text) else None


def _name(dataset: Dataset, keyword: str) -> ReportName:
    value = _value(dataset, keyword)
    if not isinstance(value, PersonName):
        return ReportName()
    try:
        groups = [*value.components, "", "", ""][:3]
    except PARSE_ERRORS:
        return ReportName()
    return ReportName(*(_components(group) for group in groups))


def _components(group: str) -> NameComponents:
    family, given, middle, prefix, suffix = [*map(_one_line, group.split("^")), *[""] * 5][:5]
    return NameComponents(family, given, middle, prefix, suffix)


def _date(dataset: Dataset, keyword: str) -> str:
    found = _DATE.fullmatch(_text(dataset, keyword))
    if found is None:
        return ""
    try:
        return datetime.strptime("".join(found.groups()), "%Y%m%d").strftime("%Y%m%d")  # noqa: DTZ007 a date has no zone
    except ValueError:
        return ""


def _time(dataset: Dataset, keyword: str) -> str:
    found = _TIME.fullmatch(_text(dataset, keyword))
    return "" if found is None else "".join(part for part in found.groups() if part)


def _utc_offset(header: Dataset) -> str:
    text = _text(header, "TimezoneOffsetFromUTC")
    return text if _UTC_OFFSET.fullmatch(text) else ""
