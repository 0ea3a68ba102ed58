"""The database tables. No table holds a patient's name or identifier, except `series_index`.

That one does only if the site's setting `web.search_patients` allows it.

A change here needs a new migration. Migrations only add, so that an older segnode can run on a
newer database while a site upgrades host by host.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

from node.store.database import UtcDateTime

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)
_UID = String(64)
_JOB_ID = String(32)
_NAME = String(200)
_STATE = String(16)
_OPTIONAL_JSON = JSON(none_as_null=True)

SERIES = Table(
    "series",
    METADATA,
    Column("series_instance_uid", _UID, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("state", _STATE, nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("first_received_at", UtcDateTime, nullable=False),
    Column("last_received_at", UtcDateTime, nullable=False),
    Column("start_requested", Boolean, nullable=False),
    Column("decision", Text),
    Index(None, "state", "last_received_at"),
    Index(None, "last_received_at"),
    Index(None, "first_received_at", "series_instance_uid"),
    # For retention, of series with images alone: they keep their row after it has deleted these.
    # The migration has the condition of this index; here, it would import a dialect.
    Index("ix_series_with_images", "last_received_at"),
)

# Condition on rows in which an attribute has several values, between backslashes.
_ATTRIBUTES = (
    "coalesce(modality, '') || coalesce(series_description, '') || coalesce(body_part_examined, '')"
    " || coalesce(study_date, '') || coalesce(accession_number, '') || coalesce(patient_id, '')"
)
HAS_SEVERAL_VALUES = f"replace({_ATTRIBUTES}, '\\', '') <> {_ATTRIBUTES}"

# What people search series by. `states` and `models` are words between spaces.
SERIES_INDEX = Table(
    "series_index",
    METADATA,
    Column("series_instance_uid", _UID, ForeignKey("series.series_instance_uid"), primary_key=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("received_at", UtcDateTime, nullable=False),
    Column("channel", _STATE, nullable=False),
    Column("peer", Text, nullable=False),
    Column("states", String(100), nullable=False),
    Column("models", Text, nullable=False),
    Column("attributes_read", Boolean, nullable=False),
    Column("modality", Text),
    Column("series_description", Text),
    Column("body_part_examined", Text),
    Column("study_date", Text),
    Column("accession_number", Text),
    Column("search_text", Text),
    Column("patient_id", Text),
    Column("patient_name", Text),
    Column("patient_search_text", Text),
    Index(None, "received_at", "series_instance_uid"),
    Index(None, "states", "received_at", "series_instance_uid"),
    Index(None, "attributes_read", "received_at"),
    Index(None, "patient_id"),
    Index(None, "accession_number"),
    Index(None, "study_date"),
    Index("ix_series_index_several_values", "series_instance_uid"),  # where HAS_SEVERAL_VALUES
)

INSTANCES = Table(
    "instances",
    METADATA,
    Column("sop_instance_uid", _UID, primary_key=True),
    Column(
        "series_instance_uid",
        _UID,
        ForeignKey("series.series_instance_uid"),
        nullable=False,
    ),
    Column("sop_class_uid", _UID, nullable=False),
    Column("transfer_syntax_uid", _UID, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    # The name is from before there was a second algorithm.
    Column("dataset_sha256", String(64), key="dataset_digest", nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Index(None, "series_instance_uid", "sop_instance_uid"),
)

JOBS = Table(
    "jobs",
    METADATA,
    Column("job_id", _JOB_ID, primary_key=True),
    Column(
        "series_instance_uid",
        _UID,
        ForeignKey("series.series_instance_uid"),
        nullable=False,
    ),
    Column("study_instance_uid", _UID, nullable=False),
    Column("series_digest", String(64), nullable=False),
    Column("instance_count", Integer, nullable=False),
    Column("rule", _NAME, nullable=False),  # as text, see `job_rows`
    Column("rules", _OPTIONAL_JSON),
    Column("part", _OPTIONAL_JSON),
    Column("model_id", _NAME, nullable=False),
    Column("model_version", _NAME, nullable=False),
    Column("destinations", JSON, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("reason", Text, nullable=False),
    Column("replaces_sop_instance_uid", _UID),
    Column("replaces_instance_count", Integer),
    Column("replaces_model_version", _NAME),
    Column("timings_s", JSON, nullable=False),
    Column("measurements", JSON, nullable=False),
    Column("findings", JSON),
    Column("result_path", Text),
    Column("picture_path", Text),
    Column("run_number", Integer, nullable=False),
    Column("priority", _STATE, nullable=False, server_default="routine"),
    Column("source", Text, nullable=False, server_default=""),
    Column("turn", Integer, nullable=False, server_default="0"),
    Column("analysed_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "series_instance_uid", "created_at"),
    Index(None, "series_instance_uid", "state"),
    Index(None, "state", "created_at"),
    Index(None, "state", "updated_at"),
    Index(None, "created_at"),
    Index(None, "model_id", "model_version", "created_at"),
    Index(None, "priority", "turn"),
    Index(None, "state", "priority", "turn"),
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("job_id", _JOB_ID, ForeignKey("jobs.job_id"), primary_key=True),
    Column("destination", _NAME, primary_key=True),
    Column("state", _STATE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("waiting_since", UtcDateTime, nullable=False),
    Column("next_try_at", UtcDateTime),
    Column("last_error", Text, nullable=False),
    Column("receipt", Text, nullable=False),
    Column("requested_at", UtcDateTime, index=True),  # until the worker has acted on the request
    Column("claimed_by", Text),  # the workflow that makes attempt `claimed_number`
    Column("claimed_number", Integer),
    Index(None, "state", "next_try_at"),
)

PAUSED_QUEUES = Table(
    "paused_queues",
    METADATA,
    Column("kind", _STATE, primary_key=True),
    Column("destination", _NAME, primary_key=True),
    Column("paused_at", UtcDateTime, nullable=False),
    Column("paused_by", _STATE, nullable=False),
    Column("user_name", _NAME, nullable=False, server_default=""),
    Column("reason", Text, nullable=False),
)

RESULT_OBJECTS = Table(
    "result_objects",
    METADATA,
    Column("job_id", _JOB_ID, ForeignKey("jobs.job_id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("sop_class_uid", _UID, nullable=False),
    Column("paths", JSON, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

RESULT_UIDS = Table(
    "result_uids",
    METADATA,
    Column("uid", _UID, primary_key=True),  # of a series or an instance
    Column("job_id", _JOB_ID, ForeignKey("jobs.job_id"), nullable=False, index=True),
)

RETRIEVALS = Table(
    "retrievals",
    METADATA,
    Column("retrieval_id", Integer, primary_key=True, autoincrement=True),
    Column("source", _NAME, nullable=False),
    Column("study_instance_uid", _UID, nullable=False),
    Column("series_instance_uid", _UID, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try_at", UtcDateTime),
    Index(None, "finished_at", "requested_at"),
    Index(None, "series_instance_uid", "requested_at"),
)

QUERIED_SERIES = Table(
    "queried_series",
    METADATA,
    Column("source", _NAME, primary_key=True),
    Column("series_instance_uid", _UID, primary_key=True),
    Column("study_instance_uid", _UID, nullable=False),
    Column("instance_count", Integer),
    Column("retrieval_id", Integer),
    Column("decided_at", UtcDateTime, nullable=False),
)

COMMITMENTS = Table(
    "commitments",
    METADATA,
    Column("transaction_uid", _UID, primary_key=True),
    Column("peer", String(16), nullable=False),
    Column("references", JSON, nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("outcome", Text, nullable=False),
    Index(None, "finished_at", "next_try_at"),
)

REQUESTED_COMMITMENTS = Table(
    "asked_commitments",
    METADATA,
    Column("transaction_uid", _UID, primary_key=True),
    Column("job_id", _JOB_ID, ForeignKey("jobs.job_id"), nullable=False),
    Column("destination", _NAME, nullable=False),
    Column("peer", String(16), nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
    Column("failure", Text, nullable=False),
    Column("closed_at", UtcDateTime),
    Index(None, "closed_at", "asked_at"),
    Index(None, "job_id", "destination", "asked_at"),
)

WORKERS = Table(
    "workers",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("name", _NAME, nullable=False, unique=True),
    Column("place", _NAME, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("joined_at", UtcDateTime, nullable=False),
    Column("beaten_at", UtcDateTime, nullable=False),
    Column("status", JSON),
)

LOST_WORKERS = Table(
    "lost_workers",
    METADATA,
    Column("slot", _NAME, primary_key=True),
    Column("lost_at", UtcDateTime, nullable=False),
)

SITE = Table("site", METADATA, Column("name", String(36), primary_key=True))

# Events of series, jobs and queues. The audit trail of people and programs is `audit_records`.
HISTORY = Table(
    "audit",
    METADATA,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("happened_at", UtcDateTime, nullable=False),
    Column("subject", String(128), nullable=False),
    Column("event", _NAME, nullable=False),
    Column("detail", Text, nullable=False),
    Index(None, "subject", "event_id"),
)
