"""The first schema: series, instances, jobs, deliveries, retrievals, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds every table."""
    op.create_table(
        "audit",
        sa.Column("event_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("event", sa.String(length=200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_audit")),
    )
    op.create_index(
        op.f("ix_audit_subject_event_id"), "audit", ["subject", "event_id"], unique=False
    )
    op.create_table(
        "retrievals",
        sa.Column("retrieval_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("retrieval_id", name=op.f("pk_retrievals")),
    )
    op.create_index(
        op.f("ix_retrievals_finished_at_requested_at"),
        "retrievals",
        ["finished_at", "requested_at"],
        unique=False,
    )
    op.create_table(
        "series",
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("first_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("start_requested", sa.Boolean(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("series_instance_uid", name=op.f("pk_series")),
    )
    op.create_index(
        op.f("ix_series_last_received_at"), "series", ["last_received_at"], unique=False
    )
    op.create_index(
        op.f("ix_series_state_last_received_at"),
        "series",
        ["state", "last_received_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_series_study_instance_uid"), "series", ["study_instance_uid"], unique=False
    )
    op.create_table(
        "instances",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("dataset_sha256", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name=op.f("fk_instances_series_instance_uid"),
        ),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_instances")),
    )
    op.create_index(
        op.f("ix_instances_series_instance_uid"), "instances", ["series_instance_uid"], unique=False
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_digest", sa.String(length=64), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=200), nullable=False),
        sa.Column("model_id", sa.String(length=200), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("destinations", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("replaces_sop_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("replaces_instance_count", sa.Integer(), nullable=True),
        sa.Column("timings_s", sa.JSON(), nullable=False),
        sa.Column("measurements", sa.JSON(), nullable=False),
        sa.Column("result_path", sa.Text(), nullable=True),
        sa.Column("picture_path", sa.Text(), nullable=True),
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name=op.f("fk_jobs_series_instance_uid"),
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_created_at"), "jobs", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_jobs_series_instance_uid_created_at"),
        "jobs",
        ["series_instance_uid", "created_at"],
        unique=False,
    )
    op.create_index(op.f("ix_jobs_state_created_at"), "jobs", ["state", "created_at"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("destination", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_deliveries_job_id")),
        sa.PrimaryKeyConstraint("job_id", "destination", name=op.f("pk_deliveries")),
    )
    op.create_index(
        op.f("ix_deliveries_state_next_try_at"),
        "deliveries",
        ["state", "next_try_at"],
        unique=False,
    )
