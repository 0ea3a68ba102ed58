"""The time at which a running job knew its organs, so that jobs of one series can be compared."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; a job that an earlier version runs has no such time."""
    op.add_column("jobs", sa.Column("analysed_at", sa.DateTime(timezone=True), nullable=True))
