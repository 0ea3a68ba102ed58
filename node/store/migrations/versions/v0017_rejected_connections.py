"""Connections that the listener rejects, and the number of rejections for each reason."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds two tables; nothing is known about earlier rejections."""
    op.create_table(
        "rejected_connections",
        sa.Column("calling_ae", sa.String(length=16), nullable=False),
        sa.Column("called_ae", sa.String(length=16), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("rejections", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("transfer_syntax_uids", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "calling_ae",
            "called_ae",
            "address",
            "reason",
            "sop_class_uid",
            "status",
            name=op.f("pk_rejected_connections"),
        ),
    )
    op.create_index(op.f("ix_rejected_connections_last_at"), "rejected_connections", ["last_at"])
    op.create_table(
        "rejection_counts",
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("rejections", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("reason", name=op.f("pk_rejection_counts")),
    )
