"""The guide to the audit trail names exactly the actions that the node records."""

import re
from pathlib import Path

from node.domain.audit.records import AuditAction

ROOT = Path(__file__).parents[2]
DEFINITION = ROOT / "node" / "domain" / "audit" / "records.py"


def test_the_guide_names_every_action_that_is_recorded_and_no_other() -> None:
    guide = (ROOT / "deploy" / "audit.md").read_text(encoding="utf-8")
    in_guide = set(re.findall(r"^\| `([a-z ]+)` \|", guide, re.MULTILINE))
    recorded = {
        AuditAction[name].value
        for folder in ("node", "pacs_listener")
        for file in (ROOT / folder).rglob("*.py")
        if file != DEFINITION
        for name in re.findall(r"\bAuditAction\.([A-Z_]+)\b", file.read_text(encoding="utf-8"))
    }
    assert in_guide == recorded != set()
