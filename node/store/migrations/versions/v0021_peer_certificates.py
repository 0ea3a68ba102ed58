"""The certificates that peers have shown."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table; nothing is known about earlier certificates."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "peer_certificates",
        sa.Column("ae_title", sa.String(length=16), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.PrimaryKeyConstraint("ae_title", "role", name=op.f("pk_peer_certificates")),
    )
