"""The hash chain of the audit trail: each record holds the hash of the record before it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from node.domain.audit.records import AuditAction

# The hash of what comes before the first record.
NO_HASH = "0" * 64
# Part of what is hashed. A change of the serialization needs another number.
_SERIALIZATION = 1


@dataclass(frozen=True)
class ChainedRecord:
    """One record as the table stores it; `objects` are pairs of type and identifier."""

    chain: str
    sequence: int
    happened_at: datetime
    action: str
    outcome: str
    actor: str
    interface: str
    address: str
    objects: tuple[tuple[str, str], ...]
    detail: str
    change: str
    previous_hash: str
    hash: str = ""

    def computed_hash(self) -> str:
        """Returns the SHA-256 of every field but `hash`, as JSON with sorted keys, in hexadecimal.

        Times are in UTC with microseconds.
        """
        fields = asdict(self)
        del fields["hash"]
        at = self.happened_at.astimezone(UTC)
        fields["happened_at"] = at.isoformat(timespec="microseconds")
        fields["serialization"] = _SERIALIZATION
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def hashed(self) -> "ChainedRecord":
        """Returns the record with its hash."""
        return replace(self, hash=self.computed_hash())


@dataclass(frozen=True)
class ChainPoint:
    """A record of a chain; before the first one, sequence 0 and NO_HASH."""

    sequence: int
    hash: str


CHAIN_START = ChainPoint(0, NO_HASH)


@dataclass(frozen=True)
class ChainHead:
    """What a chain states of itself: its last record, and the last one that retention removed."""

    chain: str
    last: ChainPoint
    removed: ChainPoint = CHAIN_START


@dataclass(frozen=True)
class ChainFault:
    """What is wrong with a chain: the first record with a fault, and the fault."""

    chain: str
    sequence: int
    fault: str


def removal_detail(removed: ChainPoint) -> str:
    """The detail of the record that retention has removed all records up to this one."""
    return f"records up to {removed.sequence}, hash {removed.hash}"


def first_fault(head: ChainHead, records: Iterable[ChainedRecord]) -> ChainFault | None:
    """Returns the first fault of a chain; None if its records are all there and unchanged.

    `records` are those of the chain in the order of their sequence. Those that the head states as
    removed may be absent if the latest record of a removal confirms it.
    """
    last = head.removed
    confirmed = ""
    for record in records:
        fault = fault_after(head.chain, last, record)
        if fault is not None:
            return fault
        last = ChainPoint(record.sequence, record.hash)
        if record.action == AuditAction.AUDIT_REMOVED:
            confirmed = record.detail
    if last.sequence < head.last.sequence:
        text = "is missing, and so are all after it"
        return ChainFault(head.chain, last.sequence + 1, text)
    if last != head.last:
        return ChainFault(head.chain, last.sequence, "is not the last that the chain states")
    return unconfirmed_removal(head, confirmed)


def unconfirmed_removal(head: ChainHead, confirmed: str) -> ChainFault | None:
    """Returns the fault of a head that states other removed records than the chain.

    `confirmed` is the detail of the chain's latest record of a removal; empty without one.
    """
    expected = "" if head.removed == CHAIN_START else removal_detail(head.removed)
    if confirmed == expected:
        return None
    text = "is not the last that the latest record of a removal states as removed"
    return ChainFault(head.chain, head.removed.sequence, text)


def fault_after(chain: str, last: ChainPoint, record: ChainedRecord) -> ChainFault | None:
    """Returns the fault of a record that is to follow `last`; None if it has none."""
    if record.sequence != last.sequence + 1:
        return ChainFault(chain, last.sequence + 1, "is missing")
    if record.computed_hash() != record.hash:
        return ChainFault(chain, record.sequence, "was changed")
    if record.previous_hash != last.hash:
        return ChainFault(chain, record.sequence, "does not follow the record before it")
    return None
