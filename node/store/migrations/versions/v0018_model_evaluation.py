"""Shadow runs of candidate models, and segmentations that people stored."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables, and an index by which the runs of a model are found."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "shadow_runs",
        sa.Column("shadow_id", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("active", sa.String(length=401), nullable=False),
        sa.Column("candidate", sa.String(length=401), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("organs", sa.JSON(), nullable=False),
        sa.Column("active_s", sa.Float(), nullable=True),
        sa.Column("candidate_s", sa.Float(), nullable=True),
        sa.Column("result_path", sa.Text(), nullable=True),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.PrimaryKeyConstraint("shadow_id", name=op.f("pk_shadow_runs")),
    )
    for columns in (["state", "created_at"], ["series_instance_uid"], ["created_at"]):
        name = op.f(f"ix_shadow_runs_{'_'.join(columns)}")
        op.create_index(name, "shadow_runs", columns)
    op.create_table(
        "feedback",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("source_series_instance_uid", sa.String(length=64), nullable=True),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("comparisons", sa.JSON(), nullable=False),
        sa.Column("received_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_feedback")),
    )
    for columns in (
        ["state", "received_at"],
        ["series_instance_uid"],
        ["source_series_instance_uid"],
        ["received_at"],
    ):
        op.create_index(op.f(f"ix_feedback_{'_'.join(columns)}"), "feedback", columns)
    op.create_index(
        op.f("ix_jobs_model_id_model_version_created_at"),
        "jobs",
        ["model_id", "model_version", "created_at"],
    )
