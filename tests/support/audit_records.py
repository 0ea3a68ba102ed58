"""The records of the audit trail, for tests of what leaves one."""

from node.store import Store
from node.store.audit_trail.chain import ChainedRecord
from node.store.audit_trail.searching import AuditSearch


def audit_records(store: Store) -> tuple[ChainedRecord, ...]:
    """Returns all records, newest first."""
    with store.found_audit_records(AuditSearch(), newest_first=True) as found:
        return tuple(found)
