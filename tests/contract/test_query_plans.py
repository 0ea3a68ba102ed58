"""No page, list or DICOMweb search reads a whole table: an index serves each of its queries."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import event

from node.domain.result_objects import SEG, ObjectUids
from node.settings import Settings, WebOptions
from node.store import Store
from node.web.app import create_app
from tests.support.many_series import insert_series
from tests.support.servers.served_node import without_login

_RESULT = ObjectUids("job5", SEG)
_REQUESTS = [
    "/",
    "/?older=20260101000500000000_",
    "/?newer=20260101000100000000_",
    "/?show=delivered",
    "/?show=attention",
    "/?uid=1.2.840.1.4",
    "/?from=2026-01-01&to=2026-01-02",
    "/overview",
    "/queues",
    "/metrics",
    "/api/series?limit=5",
    "/api/jobs?limit=5",
    "/dicom-web/studies?limit=2",
    "/dicom-web/series?limit=2&offset=3",
    "/dicom-web/instances?limit=2",
    "/dicom-web/instances?SOPInstanceUID=1.2.3",
    "/dicom-web/studies?AccessionNumber=A0000001",
    "/dicom-web/series?StudyInstanceUID=1.2.840.1",
    "/dicom-web/series?SeriesInstanceUID=1.2.3",
    f"/dicom-web/series?SeriesInstanceUID={_RESULT.series_instance_uid}",
    f"/dicom-web/instances?SOPInstanceUID={_RESULT.sop_instance_uid()}",
]
# An index that holds every column of a query in its order counts as one, a table does not.
_SQLITE_SCAN = re.compile(r"SCAN (?:series|jobs|instances)\b(?! USING)")
_POSTGRESQL_SCAN = re.compile(r"Seq Scan on (?:series|jobs|instances)\b")
_Statement = tuple[str, Any]


@contextmanager
def _statements_of(store: Store) -> Iterator[list[_Statement]]:
    """Yields the list of the queries that run in the block, with their parameters."""
    seen: list[_Statement] = []

    def note(_connection: object, _cursor: object, sql: str, values: Any, *_: object) -> None:
        if sql.startswith("SELECT"):
            seen.append((sql, values))

    engine = store._database._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def _get(app: FastAPI, address: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(address)


def _full_scans(store: Store, statements: list[_Statement]) -> list[str]:
    """Returns the queries whose plan reads a whole table although it may avoid that."""
    is_sqlite = store._database.is_sqlite
    explain, scan = "EXPLAIN ", _POSTGRESQL_SCAN
    if is_sqlite:
        explain, scan = "EXPLAIN QUERY PLAN ", _SQLITE_SCAN
    found = []
    with store._database.reading() as connection:
        if not is_sqlite:  # it scans small tables otherwise, whatever their indexes are
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for sql, values in statements:
            plan = "\n".join(map(str, connection.exec_driver_sql(explain + sql, values)))
            if scan.search(plan):
                found.append(f"{sql}\n{plan}")
    return found


def test_an_index_serves_each_query_of_pages_lists_and_searches(store: Store) -> None:
    insert_series(store, range(12))
    settings = Settings(web=WebOptions(search_patients=True), data_dir=store.data_dir)
    app = create_app(without_login(settings), store)
    for address in _REQUESTS:
        with _statements_of(store) as statements:
            assert asyncio.run(_get(app, address)).is_success, address
        assert statements, address
        scans = _full_scans(store, statements)
        assert not scans, f"{address}\n{scans[0]}"


def test_a_query_without_an_index_is_found(store: Store) -> None:
    with _statements_of(store) as statements, store._database.reading() as connection:
        connection.exec_driver_sql("SELECT rule FROM jobs WHERE rule = 'liver'")
    assert _full_scans(store, list(statements))
