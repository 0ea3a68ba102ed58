"""The tables of monitoring; migrations create them, as those of `node.store.schema`."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from node.store.database import UtcDateTime
from node.store.schema import METADATA

_NAME = String(200)
_STATE = String(16)

DESTINATION_HEALTH = Table(
    "destination_health",
    METADATA,
    Column("destination", _NAME, primary_key=True),
    Column("failing_since", UtcDateTime),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", UtcDateTime),
    Column("last_error", Text, nullable=False),
    Column("failed_stage", _STATE, nullable=False),
    Column("last_answered_at", UtcDateTime),
    Column("attention_since", UtcDateTime),
    Column("delivered_count", BigInteger, nullable=False),
    Column("failed_count", BigInteger, nullable=False),
    Column("refused_count", BigInteger, nullable=False),
)

# `open_key` is the kind and the subject while the alert is open, so that there is one of each.
ALERTS = Table(
    "alerts",
    METADATA,
    Column("alert_id", Integer, primary_key=True, autoincrement=True),
    Column("kind", _NAME, nullable=False),
    Column("subject", _NAME, nullable=False),
    Column("open_key", String(401), unique=True),
    Column("urgency", _STATE, nullable=False),
    Column("text", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index(None, "ended_at"),
    Index(None, "started_at"),
)

ALERT_MESSAGES = Table(
    "alert_messages",
    METADATA,
    Column("message_id", Integer, primary_key=True, autoincrement=True),
    Column("alert_id", Integer, ForeignKey("alerts.alert_id"), nullable=False),
    Column("phase", _STATE, nullable=False),
    Column("channel", _STATE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, index=True),
    Column("last_error", Text, nullable=False),
    Column("sent_at", UtcDateTime),
    UniqueConstraint("alert_id", "phase", "channel"),
    Index(None, "sent_at", "next_try_at"),
)

# The sum of the numbers of a name counts; triggers of the database add rows.
ROW_COUNTS = Table(
    "row_counts",
    METADATA,
    Column("counted", _STATE, nullable=False),
    Column("name", String(401), nullable=False),
    Column("number", BigInteger, nullable=False),
    Index(None, "counted", "name"),
)

STAGE_DURATIONS = Table(
    "stage_durations",
    METADATA,
    Column("model_id", _NAME, primary_key=True),
    Column("stage", _NAME, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("sum_s", Float, nullable=False),
    Column("bucket_counts", JSON, nullable=False),
)
