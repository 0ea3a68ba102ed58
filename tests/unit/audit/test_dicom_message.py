"""Audit messages in XML, after the schema of PS3.15 A.5.1."""

from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from node.audit.dicom_message import audit_message
from node.audit.event_codes import EVENT_CODES
from node.domain.audit.records import AuditAction, AuditObjectType
from node.store.audit_trail.chain import NO_HASH, ChainedRecord

EXPORTED = ChainedRecord(
    chain="ris1",
    sequence=7,
    happened_at=datetime(2026, 11, 27, 12, 0, 0, 1200, tzinfo=UTC),
    action="exported",
    outcome="success",
    actor="ada",
    interface="console",
    address="192.0.2.7",
    objects=(("study", "1.2.3"), ("destination", "pacs")),
    detail="2 files",
    change="- a\n+ b",
    previous_hash=NO_HASH,
)
# The children that the schema demands, in its order; those with ? or * may be absent.
CHILDREN = {
    "EventIdentification": ["EventID", "EventTypeCode*", "EventOutcomeDescription?"],
    "ActiveParticipant": ["RoleIDCode*"],
    "AuditSourceIdentification": ["AuditSourceTypeCode*"],
    "ParticipantObjectIdentification": [
        "ParticipantObjectIDTypeCode",
        "ParticipantObjectName|ParticipantObjectQuery",
        "ParticipantObjectDetail*",
    ],
}


def parsed(record: ChainedRecord) -> Element:
    content = audit_message(record)
    assert b"\n" not in content
    return ElementTree.fromstring(content)  # noqa: S314 the node wrote it


def only(message: Element, path: str) -> Element:
    (found,) = message.findall(path)
    return found


def test_the_message_names_event_people_node_and_objects() -> None:
    message = parsed(EXPORTED)
    assert only(message, "EventIdentification").attrib == {
        "EventActionCode": "R",
        "EventDateTime": "2026-11-27T12:00:00.001Z",
        "EventOutcomeIndicator": "0",
    }
    assert only(message, "EventIdentification/EventID").attrib == {
        "csd-code": "110106",
        "codeSystemName": "DCM",
        "originalText": "Export",
    }
    assert only(message, "EventIdentification/EventTypeCode").get("csd-code") == "exported"
    assert only(message, "EventIdentification/EventOutcomeDescription").text == "2 files"
    ada, node, pacs = message.findall("ActiveParticipant")
    assert ada.attrib == {
        "UserID": "ada",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "192.0.2.7",
        "NetworkAccessPointTypeCode": "2",
    }
    assert (node.get("UserID"), node.get("NetworkAccessPointID")) == ("segnode", "ris1")
    assert (pacs.get("UserID"), pacs.get("UserIsRequestor")) == ("pacs", "false")
    assert only(pacs, "RoleIDCode").get("csd-code") == "110152"
    assert only(message, "AuditSourceIdentification").get("AuditSourceID") == "ris1"
    study, destination = message.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == "1.2.3"
    assert only(study, "ParticipantObjectIDTypeCode").get("csd-code") == "110180"
    change = only(study, "ParticipantObjectDetail").get("value", "")
    assert b64decode(change).decode() == "- a\n+ b"
    assert only(destination, "ParticipantObjectIDTypeCode").get("codeSystemName") == "99SEGNODE"


@pytest.mark.parametrize("action", EVENT_CODES)
@pytest.mark.parametrize("interface", ["node", "dicom"])
def test_every_message_follows_the_schema(action: str, interface: str) -> None:
    objects = tuple((each.value, "x") for each in AuditObjectType)
    message = parsed(replace(EXPORTED, action=action, interface=interface, objects=objects))
    tags = [child.tag for child in message]
    participants = tags.count("ActiveParticipant")
    assert tags == [
        "EventIdentification",
        *["ActiveParticipant"] * participants,
        "AuditSourceIdentification",
        *["ParticipantObjectIdentification"] * len(objects),
    ]
    requestors = [each.get("UserIsRequestor") for each in message.findall("ActiveParticipant")]
    assert requestors.count("true") == 1
    for child in message:
        assert_in_order([each.tag for each in child], CHILDREN[child.tag])
    for code in message.iter():
        if "csd-code" in code.attrib and code.tag != "AuditSourceTypeCode":
            assert set(code.attrib) == {"csd-code", "codeSystemName", "originalText"}


def assert_in_order(tags: list[str], rules: list[str]) -> None:
    remaining = list(tags)
    for rule in rules:
        names = rule.rstrip("?*").split("|")
        maximum = len(remaining) if rule.endswith("*") else 1
        count = 0
        while count < maximum and remaining and remaining[0] in names:
            remaining.pop(0)
            count += 1
        assert count or rule[-1] in "?*", f"{rule} is missing in {tags}"
    assert not remaining, f"{remaining} is not allowed in {tags}"


def test_a_search_holds_its_conditions_in_base64() -> None:
    conditions = 'PatientName="Bäcker*" & <'
    message = parsed(replace(EXPORTED, action="searched", objects=(("query", conditions),)))
    query = only(message, "ParticipantObjectIdentification/ParticipantObjectQuery").text
    assert query is not None
    assert b64decode(query).decode() == conditions


def test_texts_that_xml_cannot_hold_are_escaped() -> None:
    message = parsed(replace(EXPORTED, actor="a\x00\n<b>&\x1b\ufffe\N{GRINNING FACE}"))
    user = message.findall("ActiveParticipant")[0].get("UserID")
    assert user == "a\\x00\\x0a<b>&\\x1b\\xfffe\N{GRINNING FACE}"


def test_an_action_of_a_later_release_is_a_security_alert_with_its_own_code() -> None:
    record = replace(
        EXPORTED,
        action="teleported",
        outcome="odd",
        objects=(("phone", "1"),),
        address="ct.example",
    )
    message = parsed(record)
    assert only(message, "EventIdentification/EventID").get("csd-code") == "110113"
    assert only(message, "EventIdentification/EventTypeCode").get("csd-code") == "teleported"
    assert only(message, "EventIdentification").get("EventOutcomeIndicator") == "8"
    ada = message.findall("ActiveParticipant")[0]
    assert ada.get("NetworkAccessPointTypeCode") == "1"


def test_what_the_node_does_itself_has_the_node_as_requestor() -> None:
    message = parsed(
        replace(EXPORTED, action=AuditAction.STARTED, actor="segnode", interface="node", objects=())
    )
    node = only(message, "ActiveParticipant")
    assert (node.get("UserID"), node.get("UserIsRequestor")) == ("segnode", "true")
    assert only(node, "RoleIDCode").get("csd-code") == "110150"
