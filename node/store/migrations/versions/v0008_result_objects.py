"""The objects and findings of a job."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table and the column; an earlier job has one SEG, which its own row names."""
    op.add_column("jobs", sa.Column("findings", sa.JSON(), nullable=True))
    op.create_table(
        "result_objects",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sop_class_uid", sa.String(length=64), nullable=False),
        sa.Column("paths", sa.JSON(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"], name=op.f("fk_result_objects_job_id")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_result_objects")),
    )
