"""The attempts at a retrieval, and the series that scheduled queries have found."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns and the table; nobody counted the attempts at earlier retrievals."""
    op.add_column(
        "retrievals", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("retrievals", sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "queried_series",
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("instance_count", sa.Integer(), nullable=True),
        sa.Column("retrieval_id", sa.Integer(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "series_instance_uid", name=op.f("pk_queried_series")),
    )
