"""The tables of shadow runs and of segmentations that people stored."""

from sqlalchemy import JSON, Column, Float, Index, Integer, String, Table, Text

from node.store.database import UtcDateTime
from node.store.schema import METADATA

_UID = String(64)
_JOB_ID = String(32)
_STATE = String(16)
_REFERENCE = String(401)  # of a model: name, "@" and version

SHADOW_RUNS = Table(
    "shadow_runs",
    METADATA,
    Column("shadow_id", _JOB_ID, primary_key=True),
    Column("job_id", _JOB_ID, nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("active", _REFERENCE, nullable=False),
    Column("candidate", _REFERENCE, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("organs", JSON, nullable=False),
    Column("active_s", Float),
    Column("candidate_s", Float),
    Column("result_path", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "state", "created_at"),
    Index(None, "series_instance_uid"),
    Index(None, "created_at"),
)

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column("series_instance_uid", _UID, nullable=False),
    Column("study_instance_uid", _UID, nullable=False),
    Column("source_series_instance_uid", _UID),
    Column("sender", Text, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("reason", Text, nullable=False),
    Column("comparisons", JSON, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "state", "received_at"),
    Index(None, "series_instance_uid"),
    Index(None, "source_series_instance_uid"),
    Index(None, "received_at"),
)
