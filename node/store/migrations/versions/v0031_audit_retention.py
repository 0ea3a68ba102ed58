"""What retention has removed from the chains of the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_NO_HASH = "0" * 64


def upgrade() -> None:
    """Adds the last removed record of each chain; none has been removed so far."""
    for column in (
        sa.Column("removed_sequence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("removed_hash", sa.String(length=64), nullable=False, server_default=_NO_HASH),
    ):
        op.add_column("audit_chains", column)
