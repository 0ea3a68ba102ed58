"""Indexes in the order in which DICOMweb searches list series and instances."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replaces two indexes by longer ones, which serve an earlier version just as well."""
    for table, column, second in (
        ("instances", "series_instance_uid", "sop_instance_uid"),
        ("series", "first_received_at", "series_instance_uid"),
    ):
        op.create_index(op.f(f"ix_{table}_{column}_{second}"), table, [column, second])
        op.drop_index(op.f(f"ix_{table}_{column}"), table)
