"""Guide and conformance statement name the actions of the audit trail and their DICOM codes."""

import re
from pathlib import Path

from pydicom.sr.codedict import codes

from node.audit.event_codes import EVENT_CODES, Code
from node.domain.audit.records import AuditAction
from tests.support.conformance_statement import table

ROOT = Path(__file__).parents[2]
# Modules that name every action without recording one.
DEFINITIONS = {
    ROOT / "node" / "domain" / "audit" / "records.py",
    ROOT / "node" / "audit" / "event_codes.py",
}


def test_the_guide_names_every_action_that_is_recorded_and_no_other() -> None:
    guide = (ROOT / "deploy" / "audit.md").read_text(encoding="utf-8")
    in_guide = set(re.findall(r"^\| `([a-z ]+)` \|", guide, re.MULTILINE))
    recorded = {
        AuditAction[name].value
        for folder in ("node", "pacs_listener")
        for file in (ROOT / folder).rglob("*.py")
        if file not in DEFINITIONS
        for name in re.findall(r"\bAuditAction\.([A-Z_]+)\b", file.read_text(encoding="utf-8"))
    }
    assert in_guide == recorded != set()


def test_the_conformance_statement_has_the_codes_of_every_action() -> None:
    in_code = [
        [action, as_text(each.event), as_text(each.type), each.action_code]
        for action, each in EVENT_CODES.items()
    ]
    assert [row[0] for row in in_code] == [action.value for action in AuditAction]
    assert table("Recorded action") == in_code


def test_the_codes_have_the_meanings_of_the_standard() -> None:
    of_events = {(400, each.event) for each in EVENT_CODES.values()}
    of_types = {(401, each.type) for each in EVENT_CODES.values()}
    of_roles = {
        (402, role) for each in EVENT_CODES.values() for role in (each.actor_role, each.node_role)
    }
    used = {(cid, code) for cid, code in of_events | of_types | of_roles if code is not None}
    assert len(used) > 20
    for cid, code in used:
        standard = {each.value: each.meaning for each in context_group(cid)}
        assert standard[code.value] == code.meaning


def as_text(code: Code | None) -> str:
    return "" if code is None else f"{code.value} {code.meaning}"


def context_group(cid: int) -> list[Code]:
    group = getattr(codes, f"cid{cid}")
    return [Code(each.value, each.meaning) for each in group.concepts.values()]
