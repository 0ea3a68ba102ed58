"""The part of its series that a job is about, and the rules that selected its model."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns; an earlier job is about its whole series."""
    op.add_column("jobs", sa.Column("rules", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("part", sa.JSON(none_as_null=True), nullable=True))
