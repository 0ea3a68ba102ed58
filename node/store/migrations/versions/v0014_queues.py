"""Paused queues; claims of attempts, and requests of people about deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table and columns; nothing is paused, claimed or requested."""
    op.create_table(
        "paused_queues",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("destination", sa.String(length=200), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused_by", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "destination", name=op.f("pk_paused_queues")),
    )
    op.add_column("deliveries", sa.Column("requested_at", sa.DateTime(timezone=True)))
    op.add_column("deliveries", sa.Column("claimed_by", sa.Text()))
    op.add_column("deliveries", sa.Column("claimed_number", sa.Integer()))
    op.create_index(op.f("ix_deliveries_requested_at"), "deliveries", ["requested_at"])
