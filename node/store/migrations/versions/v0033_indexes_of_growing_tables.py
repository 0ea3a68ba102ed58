"""Indexes for each recurring query, so that its cost does not grow with what is over."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_INDEXES = (
    ("series_index", "accession_number"),
    ("series_index", "study_date"),
    ("jobs", "series_instance_uid", "state"),
    ("jobs", "priority", "turn"),
    ("jobs", "state", "priority", "turn"),
    ("asked_commitments", "job_id", "destination", "asked_at"),
    ("work_items", "worklist", "state"),
    ("work_items", "work_item_uid"),
    ("audit_records", "action", "happened_at"),
    ("audit_records", "outcome", "happened_at"),
    ("audit_records", "chain", "action", "sequence"),
    ("alerts", "ended_at"),
    ("alerts", "started_at"),
    ("alert_messages", "sent_at", "next_try_at"),
)
_ATTRIBUTES = (
    "coalesce(modality, '') || coalesce(series_description, '') || coalesce(body_part_examined, '')"
    " || coalesce(study_date, '') || coalesce(accession_number, '') || coalesce(patient_id, '')"
)
_PARTIAL = (
    ("ix_series_with_images", "series", "last_received_at", "instance_count > 0"),
    (
        "ix_series_index_several_values",
        "series_index",
        "series_instance_uid",
        f"replace({_ATTRIBUTES}, '\\', '') <> {_ATTRIBUTES}",
    ),
)
# The origin is the channel, a space, and the peer.
_MISSING_ROWS = """
INSERT INTO series_index (series_instance_uid, study_instance_uid, received_at, channel, peer,
    states, models, attributes_read)
SELECT series_instance_uid, study_instance_uid, first_received_at,
    substr(origin, 1, {position}(origin, ' ') - 1), substr(origin, {position}(origin, ' ') + 1),
    '', '', false
FROM series WHERE NOT EXISTS (
    SELECT 1 FROM series_index AS present
    WHERE present.series_instance_uid = series.series_instance_uid
)
"""
_POSITION_FUNCTIONS = {"sqlite": "instr", "postgresql": "strpos"}


def upgrade() -> None:
    """Adds the indexes, and the rows of series that the search index lacks.

    The worker completes these rows while it runs. Until then they have no states.
    """
    for table, *columns in _INDEXES:
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    for name, table, column, where in _PARTIAL:
        condition = sa.text(where)
        op.create_index(name, table, [column], sqlite_where=condition, postgresql_where=condition)
    position = _POSITION_FUNCTIONS[op.get_bind().dialect.name]
    op.execute(_MISSING_ROWS.format(position=position))
