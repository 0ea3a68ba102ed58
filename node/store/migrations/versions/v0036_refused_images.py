"""Which images were refused, so that a series without them does not count as complete."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table, and an index for the retrievals of a series."""
    op.create_table(
        "refused_images",
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "series_instance_uid", "sop_instance_uid", name=op.f("pk_refused_images")
        ),
    )
    op.create_index(op.f("ix_refused_images_refused_at"), "refused_images", ["refused_at"])
    op.create_index(
        op.f("ix_retrievals_series_instance_uid_requested_at"),
        "retrievals",
        ["series_instance_uid", "requested_at"],
    )
