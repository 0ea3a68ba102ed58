"""The search index of series; the worker fills it."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLE = "series_index"
_INDEXED = (
    ("study_instance_uid",),
    ("received_at", "series_instance_uid"),
    ("states", "received_at", "series_instance_uid"),
    ("attributes_read", "received_at"),
    ("patient_id",),
)


def upgrade() -> None:
    """Adds the empty table: a site with many series would wait long for its rows here."""
    op.create_table(
        _TABLE,
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("states", sa.String(length=100), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("attributes_read", sa.Boolean(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=True),
        sa.Column("series_description", sa.Text(), nullable=True),
        sa.Column("body_part_examined", sa.Text(), nullable=True),
        sa.Column("study_date", sa.Text(), nullable=True),
        sa.Column("accession_number", sa.Text(), nullable=True),
        sa.Column("search_text", sa.Text(), nullable=True),
        sa.Column("patient_id", sa.Text(), nullable=True),
        sa.Column("patient_name", sa.Text(), nullable=True),
        sa.Column("patient_search_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["series_instance_uid"],
            ["series.series_instance_uid"],
            name=op.f("fk_series_index_series_instance_uid"),
        ),
        sa.PrimaryKeyConstraint("series_instance_uid", name=op.f("pk_series_index")),
    )
    for columns in _INDEXED:
        op.create_index(op.f(f"ix_{_TABLE}_{'_'.join(columns)}"), _TABLE, list(columns))
