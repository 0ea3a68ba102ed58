"""Representative rows for every table of any schema, as a site leaves them to an upgrade.

Tables and columns that are not listed get values by their types, so that a new one needs no entry.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    select,
)

SERIES = "1.2.3"
STUDY = "1.2"
DELIVERED_JOB = "d" * 32
WAITING_JOB = "e" * 32
_BOOKKEEPING = {"alembic_version", "schema_upgrades"}
_JOB = {
    "series_instance_uid": SERIES,
    "study_instance_uid": STUDY,
    "series_digest": "0" * 64,
    "instance_count": 2,
    "rule": "liver",
    "rules": ["liver"],
    "part": None,
    "model_id": "liver-ct",
    "model_version": "1.0",
    "destinations": ["pacs"],
    "reason": "",
    "replaces_sop_instance_uid": None,
    "replaces_instance_count": None,
    "replaces_model_version": None,
    "timings_s": {"segment": 3.5},
    "measurements": {},
    "findings": [],
    "picture_path": None,
    "run_number": 1,
    "priority": "stat",
    "analysed_at": None,
}
_DELIVERY = {
    "destination": "pacs",
    "attempts": 2,
    "last_error": "",
    "claimed_by": None,
    "claimed_number": None,
    "requested_at": None,
}
# The most important tables; a table may have several rows.
_ROWS: dict[str, tuple[dict[str, Any], ...]] = {
    "series": (
        {
            "series_instance_uid": SERIES,
            "study_instance_uid": STUDY,
            "state": "accepted",
            "instance_count": 2,
            "origin": "c-store MODALITY1",
            "start_requested": False,
            "decision": "{}",
        },
    ),
    "series_index": (
        {
            "series_instance_uid": SERIES,
            "study_instance_uid": STUDY,
            "channel": "c-store",
            "states": " delivering ",
            "models": " liver-ct ",
        },
    ),
    "instances": tuple(
        {
            "sop_instance_uid": f"{SERIES}.{number}",
            "series_instance_uid": SERIES,
            "path": f"instances/{SERIES}/{SERIES}.{number}.dcm",
            "dataset_sha256": "1" * 64,
            "size_bytes": 10,
        }
        for number in (1, 2)
    ),
    "jobs": (
        _JOB
        | {
            "job_id": DELIVERED_JOB,
            "state": "delivered",
            "result_path": f"results/{DELIVERED_JOB}/seg.dcm",
        },
        _JOB
        | {
            "job_id": WAITING_JOB,
            "state": "delivering",
            "result_path": f"results/{WAITING_JOB}/seg.dcm",
        },
    ),
    "deliveries": (
        _DELIVERY | {"job_id": DELIVERED_JOB, "state": "delivered", "receipt": "stored"},
        _DELIVERY | {"job_id": WAITING_JOB, "state": "waiting", "receipt": ""},
    ),
    "result_objects": (
        {
            "job_id": DELIVERED_JOB,
            "name": "seg",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.66.4",
            "paths": [f"results/{DELIVERED_JOB}/seg.dcm"],
            "size_bytes": 10,
        },
    ),
    "result_uids": ({"job_id": DELIVERED_JOB},),
    "retrievals": ({"error": "", "finished_at": None},),
    "asked_commitments": ({"job_id": DELIVERED_JOB},),
    "workers": ({"status": None},),
    "work_items": (
        {"state": "performing", "code": None, "cancel_code": None, "cancel_requested_at": None},
    ),
    "alerts": ({"kind": "database", "urgency": "warning", "ended_at": None},),
    "alert_messages": ({"phase": "started", "channel": "mail"},),
    "destination_health": ({"destination": "pacs", "failed_stage": "send"},),
    "paused_queues": ({"kind": "destination", "destination": "pacs", "paused_by": "cli"},),
    "shadow_runs": (
        {
            "job_id": DELIVERED_JOB,
            "series_instance_uid": SERIES,
            "state": "waiting",
            "organs": [],
            "result_path": f"results/{DELIVERED_JOB}/shadow.dcm",
        },
    ),
    "feedback": ({"state": "waiting", "comparisons": []},),
}

Rows = Mapping[str, list[dict[str, Any]]]


def add_rows(engine: Engine) -> Rows:
    """Adds rows to every table, whatever the schema; returns them as they were stored."""
    tables = _tables(engine)
    now = datetime(2026, 1, 2, 12, 0, tzinfo=None if engine.name == "sqlite" else UTC)
    with engine.begin() as connection:
        for table in tables:
            if connection.execute(select(func.count()).select_from(table)).scalar_one():
                continue  # a migration has filled it
            for row in _ROWS.get(table.name, ({},)):
                values = {c.name: row.get(c.name, _value(c, now)) for c in table.columns}
                connection.execute(insert(table).values(values))
    return read_rows(engine, {table.name: list(table.columns.keys()) for table in tables})


def read_rows(engine: Engine, columns: Mapping[str, list[str]]) -> Rows:
    """Returns the values of these columns of these tables."""
    found = {}
    with engine.connect() as connection:
        for table in _tables(engine):
            if table.name in columns:
                wanted = [table.c[name] for name in columns[table.name]]
                rows = connection.execute(select(*wanted).order_by(*table.primary_key)).mappings()
                found[table.name] = [dict(row) for row in rows]
    return MappingProxyType(found)


def columns_of(rows: Rows) -> Mapping[str, list[str]]:
    """Returns the columns of rows that `add_rows` has stored."""
    return {table: list(stored[0]) for table, stored in rows.items()}


def _tables(engine: Engine) -> list[Table]:
    """The tables as they are in the database, referenced ones first."""
    metadata = MetaData()
    metadata.reflect(engine)
    return [table for table in metadata.sorted_tables if table.name not in _BOOKKEEPING]


def _value(column: Column[Any], now: datetime) -> object:
    match column.type:
        case Boolean():
            return True
        case Integer() | Float():
            return 1
        case DateTime():
            return now
        case JSON():
            return []
        case _:
            return "1.2"  # a UID and a name
