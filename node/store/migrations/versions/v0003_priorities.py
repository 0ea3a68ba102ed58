"""Which jobs come first."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the jobs' priority; those that are there are routine."""
    op.add_column(
        "jobs",
        sa.Column("priority", sa.String(length=16), nullable=False, server_default="routine"),
    )
