"""Who paused a queue, besides the interface."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column; of earlier pauses, only the interface is known."""
    column = sa.Column("user_name", sa.String(length=200), nullable=False, server_default="")
    op.add_column("paused_queues", column)
