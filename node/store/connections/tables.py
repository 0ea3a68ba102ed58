"""The database tables of connections; migrations create them, as those of `node.store.schema`."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from node.store.database import UtcDateTime
from node.store.schema import METADATA

REJECTED_CONNECTIONS = Table(
    "rejected_connections",
    METADATA,
    Column("calling_ae", String(16), primary_key=True),
    Column("called_ae", String(16), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("reason", String(32), primary_key=True),
    Column("sop_class_uid", String(64), primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("rejections", BigInteger, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("transfer_syntax_uids", Text, nullable=False),
    Index(None, "last_at"),
)

PEER_CERTIFICATES = Table(
    "peer_certificates",
    METADATA,
    Column("ae_title", String(16), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("names", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

REJECTION_COUNTS = Table(
    "rejection_counts",
    METADATA,
    Column("reason", String(32), primary_key=True),
    Column("rejections", BigInteger, nullable=False),
)
