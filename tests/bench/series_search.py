"""Search at a large site: the time of each page, filter and request on SQLite and PostgreSQL."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.table import Table
from sqlalchemy import insert
from starlette.testclient import TestClient

from node.domain.job import JobState
from node.domain.listing import ListedState
from node.domain.series import SeriesState
from node.settings import Settings
from node.settings.options import WebOptions
from node.store import Store
from node.store.schema import JOBS, SERIES, SERIES_INDEX
from node.store.search.query import SeriesQuery
from node.store.search.series_index import Line, patient_search_text, search_text, words
from node.web.app import create_app
from tests.support.factories import sqlite_url
from tests.support.servers.postgresql_server import PostgresqlServer

_START = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 5_000
_REPEATS = 3
_STATES = [JobState.DELIVERED] * 90 + [JobState.REFUSED] * 9 + [JobState.DISCARDED]
_IGNORED_EVERY = 4
_PARKED = (7, 5_001)
_DESCRIPTIONS = ("Abdomen venös 1.5 B30f", "Thorax 3.0 I70f", "Topogramm", "Leber arteriell")
_LISTED = {
    JobState.DELIVERED: ListedState.DELIVERED,
    JobState.REFUSED: ListedState.REFUSED,
    JobState.DISCARDED: ListedState.DISCARDED,
    JobState.PARKED: ListedState.ATTENTION,
}


def search_table(count: int) -> Table:
    """Measures the requests of console, REST and DICOMweb among so many series; asserts nothing."""
    table = Table(f"Request among {count:,} series", "SQLite, ms", "PostgreSQL, ms")
    figures = [dict(_measure(url, count)) for url in _databases()]
    for name in figures[0]:
        table.add_row(name, *(f"{found[name]:.0f}" for found in figures))
    return table


def _databases() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        yield sqlite_url(Path(folder))
    with PostgresqlServer() as server:
        yield server.new_database()


def _measure(database_url: str, count: int) -> Iterator[tuple[str, float]]:
    with _filled_store(database_url, count) as store:
        settings = Settings(web=WebOptions(search_patients=True), data_dir=store.data_dir)
        client = TestClient(create_app(settings, store), base_url="http://localhost")
        for name, address in _requests(store).items():
            yield name, _ms(lambda address=address: _get(client, address))


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
        "QIDO: study date": "/dicom-web/studies?StudyDate=20260201&limit=100",
        "QIDO: patient ID": "/dicom-web/studies?PatientID=P0001234",
        "QIDO: one study": "/dicom-web/series?StudyInstanceUID=1.2.840.99",
    }


_TABS = ("working", "delivered", "refused", "ignored", "discarded", "attention")


def _cursor_at(store: Store, fraction: float) -> str:
    total = store.count_found(SeriesQuery()).total
    moment = _START + timedelta(minutes=int(total * (1 - fraction)))
    return f"{moment:%Y%m%d%H%M%S%f}_"


def _ms(function: Callable[[], object]) -> float:
    """Returns the best of some runs, in milliseconds."""
    function()
    runs = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        function()
        runs.append(time.perf_counter() - started)
    return min(runs) * 1000


@contextmanager
def _filled_store(database_url: str, count: int) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="segnode-bench-") as folder:
        store = Store.open(database_url, Path(folder))
        try:
            for first in range(0, count, _BATCH):
                _insert(store, range(first, min(count, first + _BATCH)))
            yield store
        finally:
            store.close()


def _insert(store: Store, numbers: range) -> None:
    with store._database.writing() as connection:  # noqa: SLF001 bulk insert, in no other place
        connection.execute(insert(SERIES), [_series_row(n) for n in numbers])
        connection.execute(insert(SERIES_INDEX), [_index_row(n) for n in numbers])
        connection.execute(insert(JOBS), [_job_row(n) for n in numbers if n % _IGNORED_EVERY])


def _uid(number: int) -> str:
    return f"1.2.840.1.{number}"


def _study(number: int) -> str:
    return f"1.2.840.{number // 3}"


def _job_state(number: int) -> JobState:
    return JobState.PARKED if number in _PARKED else _STATES[number % len(_STATES)]


def _series_row(number: int) -> dict[str, object]:
    at = _START + timedelta(minutes=number)
    ignored = number % _IGNORED_EVERY == 0
    return {
        "series_instance_uid": _uid(number),
        "study_instance_uid": _study(number),
        "state": SeriesState.IGNORED if ignored else SeriesState.ACCEPTED,
        "instance_count": 300,
        "origin": f"c-store CT{number % 12}",
        "first_received_at": at,
        "last_received_at": at,
        "start_requested": False,
        "decision": '{"matches": []}',
    }


def _index_row(number: int) -> dict[str, object]:
    ignored = number % _IGNORED_EVERY == 0
    state = ListedState.IGNORED if ignored else _LISTED[_job_state(number)]
    model = "organs-ct" if number % 1000 == 1 else "liver-ct"
    description = _DESCRIPTIONS[number % len(_DESCRIPTIONS)]
    body_part = "LIVER" if number % 500 == 3 else "ABDOMEN"
    name = f"Müller{number // 3}^Hans"
    accession = f"A{number // 3:07}"
    lines = {
        Line.SENDER: f"CT{number % 12}",
        Line.DESCRIPTION: description,
        Line.BODY_PART: body_part,
        Line.ACCESSION_NUMBER: accession,
    }
    return {
        "series_instance_uid": _uid(number),
        "study_instance_uid": _study(number),
        "received_at": _START + timedelta(minutes=number),
        "channel": "c-store",
        "peer": f"CT{number % 12}",
        "states": words([state]),
        "models": words([] if ignored else [model, f"{model}:1.0"]),
        "attributes_read": True,
        "modality": "CT",
        "series_description": description,
        "body_part_examined": body_part,
        "study_date": (date(2026, 1, 1) + timedelta(minutes=number)).strftime("%Y%m%d"),
        "accession_number": accession,
        "search_text": search_text(lines),
        "patient_id": f"P{number // 3:07}",
        "patient_name": name,
        "patient_search_text": patient_search_text(f"P{number // 3:07}", name),
    }


def _job_row(number: int) -> dict[str, object]:
    at = _START + timedelta(minutes=number)
    organs = {"Liver": 1417.0, "Spleen": 210.0, "Right kidney": 160.0, "Left kidney": 158.0}
    state = _job_state(number)
    return {
        "job_id": f"job{number}",
        "series_instance_uid": _uid(number),
        "study_instance_uid": _study(number),
        "series_digest": "0" * 64,
        "instance_count": 300,
        "rule": "liver",
        "rules": ["liver"],
        "part": None,
        "model_id": "liver-ct",
        "model_version": "1.0",
        "destinations": ["archive"],
        "state": state,
        "reason": "the series has 3 slices" if state is JobState.REFUSED else "",
        "timings_s": {"segment": 12.0},
        "measurements": {name: {"volume_ml": volume} for name, volume in organs.items()},
        "findings": [],
        "run_number": 1,
        "created_at": at,
        "updated_at": at,
    }
