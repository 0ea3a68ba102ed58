"""Worklists, their work items and the series that these name."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the tables."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "worklists",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("answered_at", time, nullable=True),
        sa.Column("failing_since", time, nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worklists")),
    )
    op.create_table(
        "work_items",
        sa.Column("worklist", sa.String(length=200), nullable=False),
        sa.Column("work_item_uid", sa.String(length=64), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("rule", sa.String(length=200), nullable=False),
        sa.Column("code", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("cancel_requested_at", time, nullable=True),
        sa.Column("cancel_code", sa.JSON(), nullable=True),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("claimed_at", time, nullable=True),
        sa.Column("updated_at", time, nullable=False),
        sa.PrimaryKeyConstraint("worklist", "work_item_uid", name=op.f("pk_work_items")),
    )
    op.create_index(op.f("ix_work_items_state"), "work_items", ["state"])
    op.create_index(op.f("ix_work_items_created_at"), "work_items", ["created_at"])
    op.create_table(
        "work_item_inputs",
        sa.Column("worklist", sa.String(length=200), nullable=False),
        sa.Column("work_item_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uids", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("retrieval_id", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint(
            "worklist", "work_item_uid", "series_instance_uid", name=op.f("pk_work_item_inputs")
        ),
    )
    op.create_index(
        op.f("ix_work_item_inputs_series_instance_uid"),
        "work_item_inputs",
        ["series_instance_uid"],
    )
