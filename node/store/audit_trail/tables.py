"""Tables of the audit trail."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, Text

from node.store.audit_trail.chain import NO_HASH
from node.store.database import UtcDateTime
from node.store.schema import METADATA

_CHAIN = String(255)
_HASH = String(64)
_WORDS = String(32)

AUDIT_RECORDS = Table(
    "audit_records",
    METADATA,
    Column("chain", _CHAIN, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("action", _WORDS, nullable=False),
    Column("outcome", _WORDS, nullable=False),
    Column("actor", Text, nullable=False),
    Column("interface", _WORDS, nullable=False),
    Column("address", Text, nullable=False),
    Column("objects", JSON, nullable=False),  # pairs of type and identifier
    Column("detail", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("previous_hash", _HASH, nullable=False),
    Column("hash", _HASH, nullable=False),
    Index(None, "happened_at"),
)

# The last record of each chain, and the last one that retention has removed.
AUDIT_CHAINS = Table(
    "audit_chains",
    METADATA,
    Column("chain", _CHAIN, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", _HASH, nullable=False),
    Column("removed_sequence", BigInteger, nullable=False, server_default="0"),
    Column("removed_hash", _HASH, nullable=False, server_default=NO_HASH),
)

# The last record of each chain that the syslog server has, and why it has not those after it.
AUDIT_FORWARDING = Table(
    "audit_forwarding",
    METADATA,
    Column("chain", _CHAIN, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
)
