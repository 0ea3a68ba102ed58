"""The database counts series and jobs by state; PostgreSQL notifies the workers of new work."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0033"
branch_labels = None
depends_on = None

_TABLE = "row_counts"
# What is counted, the table, the column by which it is counted, and how that column is written.
_COUNTED = (
    ("series", "series", "state", "{row}state"),
    ("jobs", "jobs", "state", "{row}state"),
    ("listed", "series_index", "states", "{row}states"),
    ("models", "jobs", "model_id", "{row}model_id || '@' || {row}model_version"),
)
_ADD = "INSERT INTO row_counts (counted, name, number) VALUES ('{counted}', {name}, {number});"
_FILL = """
INSERT INTO row_counts (counted, name, number)
SELECT '{counted}', {name}, count(*) FROM {table} GROUP BY {name}
"""
_SQLITE_TRIGGER = "CREATE TRIGGER count_{counted}_{event} AFTER {when} BEGIN {actions} END"
_POSTGRESQL_FUNCTION = """
CREATE FUNCTION count_{counted}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN {remove} END IF;
    IF TG_OP <> 'DELETE' THEN {add} END IF;
    RETURN NULL;
END $$
"""
_POSTGRESQL_TRIGGER = (
    "CREATE TRIGGER count_{counted}_{event} AFTER {when} EXECUTE FUNCTION count_{counted}()"
)
# What makes work for the timers of a worker. Most images arrive in a series that receives already,
# and notify nobody: commits of notifications wait for each other.
_WORK = (
    ("series_insert", "INSERT ON series FOR EACH STATEMENT"),
    (
        "series_update",
        "UPDATE OF state, start_requested ON series FOR EACH ROW "
        "WHEN (OLD.state <> NEW.state OR NEW.start_requested)",
    ),
    ("jobs_insert", "INSERT ON jobs FOR EACH STATEMENT"),
    ("jobs_update", "UPDATE OF state ON jobs FOR EACH ROW WHEN (OLD.state <> NEW.state)"),
    (
        "deliveries_update",
        "UPDATE OF requested_at ON deliveries FOR EACH ROW WHEN (NEW.requested_at IS NOT NULL)",
    ),
    ("paused_queues", "INSERT OR DELETE ON paused_queues FOR EACH STATEMENT"),
    ("retrievals_insert", "INSERT ON retrievals FOR EACH STATEMENT"),
    ("commitments_insert", "INSERT ON commitments FOR EACH STATEMENT"),
    (
        "asked_commitments_update",
        "UPDATE OF answered_at ON asked_commitments FOR EACH ROW "
        "WHEN (NEW.answered_at IS NOT NULL)",
    ),
)
_NOTIFY = """
CREATE FUNCTION notify_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('segnode_work', '');
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Adds what counts, and on PostgreSQL what notifies; both serve an earlier version as well."""
    _count_rows()
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_NOTIFY)
        for name, when in _WORK:
            op.execute(
                f"CREATE TRIGGER notify_{name} AFTER {when} EXECUTE FUNCTION notify_workers()"
            )


def _count_rows() -> None:
    """Adds a table with a row for each change of a number, and the triggers that write it.

    The triggers also count what a host with an earlier version changes.
    """
    op.create_table(
        _TABLE,
        sa.Column("counted", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=401), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
    )
    op.create_index(op.f("ix_row_counts_counted_name"), _TABLE, ["counted", "name"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for counted, table, column, expression in _COUNTED:
        add = _ADD.format(counted=counted, name=expression.format(row="NEW."), number=1)
        remove = _ADD.format(counted=counted, name=expression.format(row="OLD."), number=-1)
        if not is_sqlite:
            function = _POSTGRESQL_FUNCTION.format(counted=counted, add=add, remove=remove)
            op.execute(function)
        changed = f"ON {table} FOR EACH ROW WHEN (OLD.{column} <> NEW.{column})"
        for event, when, actions in (
            ("insert", f"INSERT ON {table} FOR EACH ROW", add),
            ("update", f"UPDATE OF {column} {changed}", remove + add),
            ("delete", f"DELETE ON {table} FOR EACH ROW", remove),
        ):
            trigger = _SQLITE_TRIGGER if is_sqlite else _POSTGRESQL_TRIGGER
            op.execute(trigger.format(counted=counted, event=event, when=when, actions=actions))
        op.execute(_FILL.format(counted=counted, table=table, name=expression.format(row="")))
