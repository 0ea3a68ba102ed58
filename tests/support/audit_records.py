"""The records of the audit trail, for tests of what leaves one."""

from node.audit.losses import AuditLosses
from node.domain.audit.lost_records import parsed_lost_records
from node.store import Store
from node.store.audit_trail.chain import ChainedRecord
from node.store.audit_trail.searching import AuditSearch


def audit_records(store: Store) -> tuple[ChainedRecord, ...]:
    """Returns all records, newest first."""
    return tuple(store.audit_records(AuditSearch()))


def lost_records(store: Store) -> int:
    """Returns how many records this host could not write and has not stated yet."""
    file = AuditLosses(store.data_dir).file
    lost = parsed_lost_records(file.read_text(encoding="ascii")) if file.exists() else None
    return 0 if lost is None else lost.count
