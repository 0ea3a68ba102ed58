"""What people read of records."""

from dataclasses import replace

import pytest

from node.audit.record_texts import actor_text, object_texts
from node.domain.audit.records import AuditAction
from node.store.audit_trail.chain import ChainedRecord
from tests.unit.audit.test_dicom_message import EXPORTED


@pytest.mark.parametrize(
    ("action", "objects", "texts"),
    [
        (AuditAction.AUDIT_READ, (("audit trail", "audit trail"),), ["audit trail"]),
        (AuditAction.AUDIT_LOST, (("audit trail", "ct-node"),), ["audit trail ct-node"]),
        (AuditAction.RECEIVED, (("study", "1.2"), ("series", "1.3")), ["study 1.2", "series 1.3"]),
        (AuditAction.SEARCHED, (), ["without conditions"]),
        (AuditAction.SEARCHED, (("query", "PatientID=7"),), ["query PatientID=7"]),
        (AuditAction.LOGOUT, (), []),
    ],
)
def test_objects_are_named_once(
    action: AuditAction, objects: tuple[tuple[str, str], ...], texts: list[str]
) -> None:
    assert list(object_texts(replace(EXPORTED, action=action, objects=objects))) == texts


def test_nobody_is_somebody_unknown() -> None:
    record: ChainedRecord = replace(EXPORTED, actor="")
    assert actor_text(record) == "somebody unknown"
    assert actor_text(replace(record, actor="ada")) == "ada"
