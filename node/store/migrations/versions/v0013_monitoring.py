"""Health of destinations, alerts and their messages, stage durations, and status of workers."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables, a column and two indexes; nothing is known about earlier attempts."""
    _create_destination_health()
    _create_alerts()
    op.create_table(
        "stage_durations",
        sa.Column("model_id", sa.String(length=200), nullable=False),
        sa.Column("stage", sa.String(length=200), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sum_s", sa.Float(), nullable=False),
        sa.Column("bucket_counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", "stage", name=op.f("pk_stage_durations")),
    )
    op.create_table(
        "lost_workers",
        sa.Column("slot", sa.String(length=200), nullable=False),
        sa.Column("lost_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("slot", name=op.f("pk_lost_workers")),
    )
    op.add_column("workers", sa.Column("status", sa.JSON(), nullable=True))
    op.create_index(op.f("ix_jobs_state_updated_at"), "jobs", ["state", "updated_at"])
    op.create_index(op.f("ix_series_first_received_at"), "series", ["first_received_at"])


def _create_destination_health() -> None:
    op.create_table(
        "destination_health",
        sa.Column("destination", sa.String(length=200), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("failed_stage", sa.String(length=16), nullable=False),
        sa.Column("last_answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attention_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delivered_count", sa.BigInteger(), nullable=False),
        sa.Column("failed_count", sa.BigInteger(), nullable=False),
        sa.Column("refused_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("destination", name=op.f("pk_destination_health")),
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("open_key", sa.String(length=401), nullable=True),
        sa.Column("urgency", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("open_key", name=op.f("uq_alerts_open_key")),
    )
    op.create_table(
        "alert_messages",
        sa.Column("message_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.alert_id"], name=op.f("fk_alert_messages_alert_id")
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_alert_messages")),
        sa.UniqueConstraint(
            "alert_id", "phase", "channel", name=op.f("uq_alert_messages_alert_id_phase_channel")
        ),
    )
    op.create_index(op.f("ix_alert_messages_next_try_at"), "alert_messages", ["next_try_at"])
