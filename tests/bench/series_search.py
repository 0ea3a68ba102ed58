"""Search at a large site: the time of each page, filter and request on SQLite and PostgreSQL."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median

from rich.table import Table
from starlette.testclient import TestClient

from node.settings import Settings, WebOptions
from node.store import Store
from node.store.search.query import SeriesQuery
from node.web.app import create_app
from tests.support.factories import sqlite_url
from tests.support.many_series import START, insert_series
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.servers.served_node import without_login

_BATCH = 5_000
_REPEATS = 3


def search_table(count: int) -> Table:
    """Measures the requests of console, REST and DICOMweb among so many series; asserts nothing."""
    columns = [
        f"{name}, {time} ms" for name in ("SQLite", "PostgreSQL") for time in ("wall", "CPU")
    ]
    table = Table(f"Request among {count:,} series", *columns)
    figures = [dict(_measure(url, count)) for url in _databases()]
    for name in figures[0]:
        table.add_row(name, *(f"{ms:.0f}" for found in figures for ms in found[name]))
    return table


def _databases() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        yield sqlite_url(Path(folder))
    with PostgresqlServer() as server:
        yield server.new_database()


def _measure(database_url: str, count: int) -> Iterator[tuple[str, tuple[float, float]]]:
    with _filled_store(database_url, count) as store:
        settings = without_login(
            Settings(web=WebOptions(search_patients=True), data_dir=store.data_dir)
        )
        client = TestClient(create_app(settings, store), base_url="http://localhost")
        for name, address in _requests(store).items():
            yield name, _ms(partial(_get, client, address))


def _get(client: TestClient, address: str) -> None:
    client.get(address).raise_for_status()


def _requests(store: Store) -> dict[str, str]:
    """The address of each request, by what it does."""
    middle = _cursor_at(store, 0.5)
    return {
        "list: first page": "/",
        "list: next page": f"/?older={_cursor_at(store, 0.001)}",
        "list: page in the middle": f"/?older={middle}",
        "list: page before the middle": f"/?newer={middle}",
        **{f"list: tab {tab}": f"/?show={tab}" for tab in _TABS},
        "search: anything, a word": "/?q=leber",
        "search: anything, nothing found": "/?q=zzzz",
        "search: patient ID": "/?patient=P0001",
        "search: patient name": "/?patient=m%C3%BCller12",
        "search: accession number": "/?accession=A0004711",
        "search: UID": "/?uid=1.2.840.1.4711",
        "search: sender": "/?sender=CT7",
        "search: dates": "/?from=2026-02-01&to=2026-02-03",
        "search: body part": "/?body_part=LIVER",
        "search: description": "/?description=arteriell",
        "search: model": "/?model=organs-ct",
        "search: tab and description": "/?show=refused&description=topo",
        "REST: first page": "/api/series?limit=50",
        "REST: patient": "/api/series?patient=P0001",
        "QIDO: series, first 100": "/dicom-web/series?limit=100",
        "QIDO: series, last 100": "/dicom-web/series?limit=100&offset=99800",
        "QIDO: studies, first 100": "/dicom-web/studies?limit=100",
        "QIDO: accession number": "/dicom-web/studies?AccessionNumber=A0004711",
        "QIDO: patient ID": "/dicom-web/studies?PatientID=P0001234",
        "QIDO: instances, first 100": "/dicom-web/instances?limit=100",
        "QIDO: one study": "/dicom-web/series?StudyInstanceUID=1.2.840.99",
        "overview": "/overview",
        "queues": "/queues",
        "REST: jobs": "/api/jobs",
        "metrics": "/metrics",
    }


_TABS = ("working", "delivered", "refused", "ignored", "discarded", "attention")


def _cursor_at(store: Store, fraction: float) -> str:
    total = store.count_found(SeriesQuery()).total
    moment = START + timedelta(minutes=int(total * (1 - fraction)))
    return f"{moment:%Y%m%d%H%M%S%f}_"


def _ms(function: Callable[[], object]) -> tuple[float, float]:
    """Returns the medians of wall time and of this process's CPU time, in milliseconds.

    The CPU time is that of the web process: it excludes the server of PostgreSQL.
    """
    function()
    wall, cpu = [], []
    for _ in range(_REPEATS):
        started, cpu_started = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - cpu_started)
    return median(wall) * 1000, median(cpu) * 1000


@contextmanager
def _filled_store(database_url: str, count: int) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        store = Store.open(database_url, Path(folder))
        try:
            for first in range(0, count, _BATCH):
                insert_series(store, range(first, min(count, first + _BATCH)))
            yield store
        finally:
            store.close()
