"""The tables of worklists; migrations create them, as those of `node.store.schema`."""

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from node.store.database import UtcDateTime
from node.store.schema import METADATA

_UID = String(64)
_NAME = String(200)
_STATE = String(16)

WORKLISTS = Table(
    "worklists",
    METADATA,
    Column("name", _NAME, primary_key=True),
    Column("answered_at", UtcDateTime),
    Column("failing_since", UtcDateTime),
    Column("error", Text, nullable=False),
)

WORK_ITEMS = Table(
    "work_items",
    METADATA,
    Column("worklist", _NAME, primary_key=True),
    Column("work_item_uid", _UID, primary_key=True),
    Column("transaction_uid", _UID, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("rule", _NAME, nullable=False),
    Column("code", JSON),
    Column("reason", Text, nullable=False),
    Column("progress", Integer, nullable=False),
    Column("cancel_requested_at", UtcDateTime),
    Column("cancel_code", JSON),
    Column("report", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("claimed_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "state"),
    Index(None, "created_at"),
    Index(None, "worklist", "state"),
    Index(None, "work_item_uid"),
)

WORK_ITEM_INPUTS = Table(
    "work_item_inputs",
    METADATA,
    Column("worklist", _NAME, primary_key=True),
    Column("work_item_uid", _UID, primary_key=True),
    Column("series_instance_uid", _UID, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False),
    Column("sop_instance_uids", JSON, nullable=False),
    Column("source", _NAME, nullable=False),
    Column("retrieval_id", Integer),
    Index(None, "series_instance_uid"),
)
