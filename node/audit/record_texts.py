"""What people read of a record of the audit trail."""

from collections.abc import Iterator

from node.domain.audit.records import AuditAction
from node.store.audit_trail.chain import ChainedRecord


def actor_text(record: ChainedRecord) -> str:
    """Returns who acts; a refused login may name nobody."""
    return record.actor or "somebody unknown"


def object_texts(record: ChainedRecord) -> Iterator[str]:
    """Yields each object, such as `user ada`; a search without conditions says so."""
    for object_type, identifier in record.objects:
        yield object_text(object_type, identifier)
    if record.action == AuditAction.SEARCHED and not record.objects:
        yield "without conditions"


def object_text(object_type: str, identifier: str) -> str:
    """Returns an object with its type; the audit trail as a whole has no other name."""
    return object_type if identifier == object_type else f"{object_type} {identifier}"
