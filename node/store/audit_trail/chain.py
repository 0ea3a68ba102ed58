"""The hash chain of the audit trail: each record holds the hash of the record before it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

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
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def hashed(self) -> "ChainedRecord":
        """Returns the record with its hash."""
        return replace(self, hash=self.computed_hash())


@dataclass(frozen=True)
class ChainHead:
    """The last record of a chain; without records, sequence 0 and NO_HASH."""

    chain: str
    sequence: int
    hash: str


@dataclass(frozen=True)
class ChainFault:
    """What is wrong with a chain: the first record with a fault, and the fault."""

    chain: str
    sequence: int
    fault: str


def first_fault(head: ChainHead, records: Iterable[ChainedRecord]) -> ChainFault | None:
    """Returns the first fault of a chain; None if its records are all there and unchanged.

    `records` are those of the chain in the order of their sequence.
    """
    last = ChainHead(head.chain, 0, NO_HASH)
    for record in records:
        fault = _fault_after(last, record)
        if fault is not None:
            return fault
        last = ChainHead(record.chain, record.sequence, record.hash)
    if last.sequence < head.sequence:
        return ChainFault(head.chain, last.sequence + 1, "is missing, and so are all after it")
    if last != head:
        return ChainFault(head.chain, last.sequence, "is not the last that the chain states")
    return None


def _fault_after(last: ChainHead, record: ChainedRecord) -> ChainFault | None:
    if record.sequence != last.sequence + 1:
        return ChainFault(record.chain, last.sequence + 1, "is missing")
    if record.computed_hash() != record.hash:
        return ChainFault(record.chain, record.sequence, "was changed")
    if record.previous_hash != last.hash:
        return ChainFault(record.chain, record.sequence, "does not follow the record before it")
    return None
