"""The model version of the result that a job's replaces."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; nobody knows it of earlier jobs."""
    op.add_column("jobs", sa.Column("replaces_model_version", sa.String(length=200), nullable=True))
