"""Encodes a report as the HL7 v2.5.1 message ORU^R01 (chapter 7.3.1).

hl7apy builds and escapes the message. Its elements have names of the standard, such as `pid_3` and
`cx_1`, and no static types.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from hl7apy.base_datatypes import ST
from hl7apy.core import Component, Field, Message

from node.delivery.his.observations import (
    METHOD,
    Observation,
    observations_of,
    summary_lines,
)
from node.domain.coding_schemes import LOCAL_SCHEME
from node.domain.identifiers import mint_uid
from node.domain.report import (
    NameComponents,
    Report,
    ReportCode,
    ReportIdentifier,
    ReportName,
    ReportStudy,
)
from node.settings import Hl7Destination

_VERSION = "2.5.1"
# Table 0211 names the character sets of MSH-18.
_CHARACTER_SETS = {"utf-8": "UNICODE UTF-8", "iso-8859-1": "8859/1", "us-ascii": "ASCII"}
_STATUS = {"preliminary": "P", "final": "F"}  # tables 0123 and 0085
_NOT_OBTAINED = "X"  # table 0085: no result can be obtained
_NO_RESULT = "O"  # table 0085: a description of the order, not a result
# Source: IHE Radiology Technical Framework, volume 2, Table 4.7-7.
_STUDY_CODE = ReportCode("113014", "DCM", "DICOM Study")
_SUMMARY_CODE = ReportCode("59776-5", "LN", "Findings")  # PS3.16 CID 7001
_LINK_CODE = ReportCode("viewer-link", LOCAL_SCHEME, "Images in the viewer")
_SERVICE_CODE = ReportCode("organ-segmentation", LOCAL_SCHEME, "Organ segmentation in CT")
# They separate segments or blocks, so that no text may hold them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def oru_message(report: Report, options: Hl7Destination, control_id: str) -> str:
    """Returns the message as an MLLP block; equal arguments give equal messages."""
    message: Any = Message("ORU_R01", version=_VERSION)
    _set_header(message.msh, report, options, control_id)
    result = message.add_group("ORU_R01_PATIENT_RESULT")
    patient = result.add_group("ORU_R01_PATIENT")
    _set_patient(patient.add_segment("PID"), report, options.patient_authority)
    visit = patient.add_group("ORU_R01_VISIT")
    _set_visit(visit.add_segment("PV1"), report.study)
    order = result.add_group("ORU_R01_ORDER_OBSERVATION")
    _set_order(order.add_segment("ORC"), report)
    _set_request(order.add_segment("OBR"), report, _STATUS[options.status])
    _add_results(order, report, options)
    return str(message.to_mllp())


def _set_header(msh: Any, report: Report, options: Hl7Destination, control_id: str) -> None:
    _set(msh.msh_3, "hd_1", options.sending_application)
    _set(msh.msh_4, "hd_1", options.sending_facility)
    _set(msh.msh_5, "hd_1", options.receiving_application)
    _set(msh.msh_6, "hd_1", options.receiving_facility)
    msh.msh_7.ts_1 = _date_time(report.created_at)
    msh.msh_9.msg_1 = "ORU"
    msh.msh_9.msg_2 = "R01"
    msh.msh_9.msg_3 = "ORU_R01"
    msh.msh_10 = control_id
    msh.msh_11.pt_1 = options.processing_id
    msh.msh_12.vid_1 = _VERSION
    msh.msh_18 = _CHARACTER_SETS[options.charset]


def _set_patient(pid: Any, report: Report, authority: str) -> None:
    patient = report.patient
    pid.pid_1 = "1"
    identifier = pid.add_field("PID_3")
    issuer = patient.identifier.issuer
    _set(identifier, "cx_1", patient.identifier.value)
    _set(identifier.cx_4, "hd_1", issuer.name or ("" if issuer.universal_id else authority))
    _set(identifier.cx_4, "hd_2", issuer.universal_id)
    _set(identifier.cx_4, "hd_3", issuer.universal_id_type)
    identifier.cx_5 = "PI"  # table 0203: patient internal identifier
    for components, representation in _representations(patient.name):
        name = pid.add_field("PID_5")
        _set(name.xpn_1, "fn_1", components.family)
        _set(name, "xpn_2", components.given)
        _set(name, "xpn_3", components.middle)
        _set(name, "xpn_4", components.suffix)
        _set(name, "xpn_5", components.prefix)
        name.xpn_8 = representation
    if not _representations(patient.name):
        pid.add_field("PID_5").xpn_7 = "U"  # table 0200: unspecified; PID-5 is required
    _set(pid.pid_7, "ts_1", patient.birth_date)
    _set(pid, "pid_8", patient.sex)


def _representations(name: ReportName) -> list[tuple[NameComponents, str]]:
    """Returns the representations that a name has, with their codes of table 0465 (XPN.8)."""
    all_three = ((name.alphabetic, "A"), (name.ideographic, "I"), (name.phonetic, "P"))
    return [(one, code) for one, code in all_three if one != NameComponents()]


def _set_visit(pv1: Any, study: ReportStudy) -> None:
    pv1.pv1_1 = "1"
    pv1.pv1_2 = "U"  # table 0004: unknown; images do not tell the class of the patient
    _set_physician(pv1, "PV1_8", study.referring_physician)
    _set(pv1.pv1_19, "cx_1", study.admission.value)
    _set(pv1.pv1_19.cx_4, "hd_1", study.admission.issuer.name)
    _set(pv1.pv1_19.cx_4, "hd_2", study.admission.issuer.universal_id)
    _set(pv1.pv1_19.cx_4, "hd_3", study.admission.issuer.universal_id_type)


def _set_physician(segment: Any, field: str, name: ReportName) -> None:
    for components, representation in _representations(name):
        physician = segment.add_field(field)
        _set(physician.xcn_2, "fn_1", components.family)
        _set(physician, "xcn_3", components.given)
        _set(physician, "xcn_4", components.middle)
        _set(physician, "xcn_5", components.suffix)
        _set(physician, "xcn_6", components.prefix)
        physician.xcn_15 = representation


def _set_order(orc: Any, report: Report) -> None:
    orc.orc_1 = "RE"  # table 0119: observations follow
    _set_entity(orc.orc_2, report.order.placer_order)
    _set_entity(orc.orc_3, _filler_order(report))


def _set_request(obr: Any, report: Report, status: str) -> None:
    order, study = report.order, report.study
    obr.obr_1 = "1"
    _set_entity(obr.obr_2, order.placer_order)
    _set_entity(obr.obr_3, _filler_order(report))
    _set_codes(obr.obr_4, [order.requested_procedure_code or _SERVICE_CODE])
    _set(obr.obr_7, "ts_1", _study_time(study))
    _set_physician(obr, "OBR_16", study.referring_physician)
    # IHE Radiology, RAD-4: the accession number and the requested procedure ID.
    _set(obr, "obr_18", study.accession.value)
    _set(obr, "obr_19", order.requested_procedure_id)
    obr.obr_22.ts_1 = _date_time(report.created_at)
    obr.obr_24 = "RAD"  # table 0074: radiology
    obr.obr_25 = status


def _filler_order(report: Report) -> ReportIdentifier:
    """Returns the filler order number, which is the accession number where there is no other."""
    filler = report.order.filler_order
    return filler if filler.value else report.study.accession


def _add_results(order: Any, report: Report, options: Hl7Destination) -> None:
    status = _STATUS[options.status]
    study_uid = report.study.study_instance_uid
    _add_result(order, report, "ST", [_STUDY_CODE], [study_uid], status=_NO_RESULT)
    for observation in observations_of(report, options.codes):
        _add_measurement(order, report, observation, status)
    for number, line in enumerate(summary_lines(report), start=1):
        text = _add_result(order, report, "TX", [_SUMMARY_CODE], [line], status=status)
        text.obx_4 = str(number)
    if options.viewer_url:
        url = options.viewer_url.format(study=study_uid)
        # RP: pointer, application, type of data (table 0191), subtype (table 0291).
        pointer = [url, options.sending_application, "TEXT", "HTML"]
        _add_result(order, report, "RP", [_LINK_CODE], pointer, status=status)


def _add_measurement(order: Any, report: Report, observation: Observation, status: str) -> None:
    """Adds a number (NM), or a structured number (SN) of which the true value is at least that."""
    if observation.is_lower_bound and observation.value:
        value_type, values = "SN", [">=", observation.value]
    else:
        value_type, values = "NM", [observation.value] if observation.value else []
    status = status if values else _NOT_OBTAINED
    obx = _add_result(order, report, value_type, observation.codes, values, status=status)
    obx.obx_6.ce_1 = observation.unit.value
    obx.obx_6.ce_2 = observation.unit.meaning
    obx.obx_6.ce_3 = observation.unit.scheme


def _add_result(
    order: Any,
    report: Report,
    value_type: str,
    codes: Sequence[ReportCode],
    values: Iterable[str],
    *,
    status: str,
) -> Any:
    """Adds an OBX whose value has these components, and returns it."""
    number = len(order.oru_r01_observation) + 1
    obx = order.add_group("ORU_R01_OBSERVATION").add_segment("OBX")
    obx.obx_1 = str(number)
    obx.obx_2 = value_type
    _set_codes(obx.obx_3, codes)
    field: Any = Field("OBX_5", version=_VERSION)
    for i, value in enumerate(values, start=1):
        component = Component(f"VARIES_{i}", datatype="ST", version=_VERSION)
        component.value = _escaped(value)
        field.add(component)
    obx.add(field)
    obx.obx_11 = status
    _set(obx.obx_14, "ts_1", _study_time(report.study))
    if status != _NO_RESULT:
        _set_codes(obx.obx_17, [METHOD])
        _set_equipment(obx.obx_18, report)
    return obx


def _set_equipment(identifier: Any, report: Report) -> None:
    model = report.model
    _set(identifier, "ei_1", f"{model.model_id} {model.version}")
    identifier.ei_2 = "SEGNODE"
    identifier.ei_3 = mint_uid("device", "segnode", model.node_version)
    identifier.ei_4 = "ISO"


def _set_codes(field: Any, codes: Sequence[ReportCode]) -> None:
    """Sets the identifier and the alternate identifier of a CE from the first two codes."""
    for code, first in zip(codes[:2], (1, 4), strict=False):
        _set(field, f"ce_{first}", code.value)
        _set(field, f"ce_{first + 1}", code.meaning)
        _set(field, f"ce_{first + 2}", code.scheme)


def _set_entity(field: Any, identifier: ReportIdentifier) -> None:
    _set(field, "ei_1", identifier.value)
    if identifier.value:
        _set(field, "ei_2", identifier.issuer.name)
        _set(field, "ei_3", identifier.issuer.universal_id)
        _set(field, "ei_4", identifier.issuer.universal_id_type)


def _set(element: Any, name: str, text: str) -> None:
    """Sets a part of the element; an empty text leaves it absent."""
    if text:
        setattr(element, name, _escaped(text))


def _escaped(text: str) -> str:
    """Returns the text with escape sequences for separators, on one line.

    hl7apy leaves a backslash alone where it could begin an escape sequence; as `\\E\\`, each is
    one for certain.
    """
    return str(ST(_CONTROL.sub(" ", text).replace("\\", "\\E\\")).to_er7())


def _date_time(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S%z")


def _study_time(study: ReportStudy) -> str:
    """Returns the time of the study as precisely as the source has it."""
    return f"{study.date}{study.time}{study.utc_offset if study.time else ''}" if study.date else ""
