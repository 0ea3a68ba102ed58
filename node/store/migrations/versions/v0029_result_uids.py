"""The jobs of results by the UIDs of their series and instances."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table; the worker adds the UIDs of earlier results while it runs."""
    op.create_table(
        "result_uids",
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_result_uids_job_id")),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_result_uids")),
    )
    op.create_index(op.f("ix_result_uids_job_id"), "result_uids", ["job_id"])
