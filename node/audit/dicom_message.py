"""Writes one record of the audit trail as an audit message in XML (PS3.15 A.5.1)."""

import re
from base64 import b64encode
from datetime import UTC
from ipaddress import ip_address
from xml.etree.ElementTree import Element, SubElement, tostring

from node.audit.event_codes import (
    DESTINATION_ROLE,
    EVENT_CODES,
    OUTCOME_INDICATORS,
    UNKNOWN_EVENT,
    UNKNOWN_OUTCOME,
    Code,
    EventCodes,
    object_codes,
)
from node.domain.audit.records import AuditInterface, AuditObjectType
from node.domain.coding_schemes import LOCAL_SCHEME
from node.store.audit_trail.chain import ChainedRecord

NODE_NAME = "segnode"
_APPLICATION_SERVER = "4"  # AuditSourceTypeCode
_HOST_NAME, _IP_ADDRESS = "1", "2"  # NetworkAccessPointTypeCode
# Characters that XML 1.0 cannot hold. Line ends and tabs stay out of attributes.
_NOT_IN_XML = re.compile(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def audit_message(record: ChainedRecord) -> bytes:
    """Returns the message in UTF-8, on one line and without an XML declaration."""
    codes = EVENT_CODES.get(record.action, UNKNOWN_EVENT)
    message = Element("AuditMessage")
    _add_event(message, record, codes)
    _add_participants(message, record, codes)
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_text(record.chain))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    _add_objects(message, record)
    content: bytes = tostring(message, encoding="utf-8", xml_declaration=False)
    return content


def _add_event(message: Element, record: ChainedRecord, codes: EventCodes) -> None:
    at = record.happened_at.astimezone(UTC).isoformat(timespec="milliseconds")
    event = SubElement(
        message,
        "EventIdentification",
        EventActionCode=codes.action_code,
        EventDateTime=at.replace("+00:00", "Z"),
        EventOutcomeIndicator=OUTCOME_INDICATORS.get(record.outcome, UNKNOWN_OUTCOME),
    )
    _add_code(event, "EventID", codes.event)
    if codes.type is not None:
        _add_code(event, "EventTypeCode", codes.type)
    _add_code(event, "EventTypeCode", Code(record.action, record.action, LOCAL_SCHEME))
    if record.detail:
        SubElement(event, "EventOutcomeDescription").text = _text(record.detail)


def _add_participants(message: Element, record: ChainedRecord, codes: EventCodes) -> None:
    """Adds who acts, the node, and the destinations of what is sent; one of them requests."""
    is_node = record.interface == AuditInterface.NODE
    if not is_node:
        actor = _participant(message, record.actor, codes.actor_role, is_requestor=True)
        if record.address:
            actor.set("NetworkAccessPointID", _text(record.address))
            actor.set("NetworkAccessPointTypeCode", _access_point_type(record.address))
    node = _participant(message, NODE_NAME, codes.node_role, is_requestor=is_node)
    node.set("NetworkAccessPointID", _text(record.chain))
    node.set("NetworkAccessPointTypeCode", _HOST_NAME)
    for object_type, identifier in record.objects:
        if object_type == AuditObjectType.DESTINATION:
            _participant(message, identifier, DESTINATION_ROLE, is_requestor=False)


def _participant(message: Element, name: str, role: Code | None, *, is_requestor: bool) -> Element:
    requestor = "true" if is_requestor else "false"
    participant = SubElement(
        message, "ActiveParticipant", UserID=_text(name), UserIsRequestor=requestor
    )
    if role is not None:
        _add_code(participant, "RoleIDCode", role)
    return participant


def _access_point_type(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        return _HOST_NAME
    return _IP_ADDRESS


def _add_objects(message: Element, record: ChainedRecord) -> None:
    """Adds the objects; the first one holds the change."""
    for number, (object_type, identifier) in enumerate(record.objects):
        codes = object_codes(object_type)
        element = SubElement(
            message,
            "ParticipantObjectIdentification",
            ParticipantObjectID=_text(identifier),
            ParticipantObjectTypeCode=codes.type_code,
            ParticipantObjectTypeCodeRole=codes.role,
        )
        _add_code(element, "ParticipantObjectIDTypeCode", codes.id_type)
        if object_type == AuditObjectType.QUERY:
            SubElement(element, "ParticipantObjectQuery").text = _base64(identifier)
        else:
            SubElement(element, "ParticipantObjectName").text = _object_name(
                object_type, identifier
            )
        if record.change and number == 0:
            change = {"type": "change", "value": _base64(record.change)}
            SubElement(element, "ParticipantObjectDetail", change)


def _object_name(object_type: str, identifier: str) -> str:
    # PS3.15 A.5.3.2 demands this name.
    if object_type == AuditObjectType.AUDIT_TRAIL:
        return "Security Audit Log"
    return _text(f"{object_type} {identifier}")


def _add_code(parent: Element, tag: str, code: Code) -> None:
    SubElement(
        parent,
        tag,
        {
            "csd-code": _text(code.value),
            "codeSystemName": code.scheme,
            "originalText": _text(code.meaning),
        },
    )


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")


def _text(value: str) -> str:
    """Escapes what XML cannot hold, so that no sender can make a message unreadable."""
    return _NOT_IN_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", value)
