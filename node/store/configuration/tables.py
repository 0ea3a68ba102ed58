"""The tables of the configuration; migrations create them, as those of `node.store.schema`."""

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text

from node.store.database import UtcDateTime
from node.store.schema import METADATA

_NAME = String(200)

# Append-only. `active_configuration` has one row.
CONFIGURATION_REVISIONS = Table(
    "configuration_revisions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("author", _NAME, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=False),
    Column("parent", Integer),
)

ACTIVE_CONFIGURATION = Table(
    "active_configuration",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, ForeignKey("configuration_revisions.number"), nullable=False),
)

CONFIGURATION_PROCESSES = Table(
    "configuration_processes",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
)
