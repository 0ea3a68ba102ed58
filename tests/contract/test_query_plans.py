"""No recurring query reads a whole table, and none costs more at a site with a longer past."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial

import httpx
from fastapi import FastAPI

from node.settings import Settings, WebOptions
from node.store import Store
from node.web.app import create_app
from tests.support.factories import add_instances
from tests.support.many_series import START, insert_series
from tests.support.past_work import insert_past_work
from tests.support.query_costs import (
    CostCounter,
    Statement,
    let_tables_seem_large,
    statements_of,
)
from tests.support.recurring_queries import (
    INTAKE,
    JOBS_LIST,
    LISTS,
    REQUESTS,
    WORKER,
)
from tests.support.servers.served_node import without_login

# The rows of these tables become more and more. An index that holds every column of a query in its
# order counts as one, a table does not. Retrievals are read in the order of the table itself.
_GROWING = (
    "series|series_index|instances|jobs|deliveries|result_objects|result_uids|audit|audit_records"
    "|commitments|asked_commitments|queried_series|alerts|alert_messages|shadow_runs"
    "|feedback|work_items|work_item_inputs"
)
_SQLITE_SCAN = re.compile(rf"SCAN (?:{_GROWING})\b(?! USING)")
_POSTGRESQL_SCAN = re.compile(rf"Seq Scan on (?:{_GROWING})\b")
_FEW, _MANY = 300, 1200
# A deeper tree of an index costs a little more.
_MAX_RISE = 1.25
_SLACK = 200


async def _get(app: FastAPI, address: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(address)


def _request(app: FastAPI, address: str) -> None:
    assert asyncio.run(_get(app, address)).is_success, address


def _calls(store: Store, series: int) -> Mapping[str, Callable[[], object]]:
    """Returns every recurring query by its name; the last of the series arrives now."""
    now = START + timedelta(minutes=series)
    settings = Settings(web=WebOptions(search_patients=True), data_dir=store.data_dir)
    app = create_app(without_login(settings), store)
    asks = {**INTAKE, **WORKER, **LISTS}
    return {
        **{name: partial(ask, store, now) for name, ask in asks.items()},
        **{
            f"jobs list: {name}": partial(store.find_series, criteria, 20)
            for name, criteria in JOBS_LIST.items()
        },
        **{address: partial(_request, app, address) for address in REQUESTS},
    }


def _insert(store: Store, numbers: range) -> None:
    insert_series(store, numbers)
    insert_past_work(store, numbers)
    store.sum_up_counts()
    let_tables_seem_large(store)


def _full_scans(store: Store, statements: list[Statement]) -> Iterator[str]:
    """Yields the queries whose plan reads a whole table although it may avoid that."""
    is_sqlite = store._database.is_sqlite
    explain, scan = "EXPLAIN ", _POSTGRESQL_SCAN
    if is_sqlite:
        explain, scan = "EXPLAIN QUERY PLAN ", _SQLITE_SCAN
    with store._database.reading() as connection:
        if not is_sqlite:  # it scans small tables otherwise, whatever their indexes are
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for sql, values in statements:
            plan = "\n".join(map(str, connection.exec_driver_sql(explain + sql, values)))
            if scan.search(plan):
                yield f"{sql}\n{plan}"


def test_an_index_serves_each_recurring_query(store: Store) -> None:
    _insert(store, range(12))
    found = {}
    for name, call in _calls(store, 12).items():
        with statements_of(store) as statements:
            call()
        assert statements, name
        found[name] = list(_full_scans(store, statements))
    assert {name: scans[0] for name, scans in found.items() if scans} == {}


def test_a_query_without_an_index_is_found(store: Store) -> None:
    with statements_of(store) as statements, store._database.reading() as connection:
        connection.exec_driver_sql("SELECT rule FROM jobs WHERE rule = 'liver'")
    assert list(_full_scans(store, list(statements)))


def test_what_is_over_makes_no_recurring_query_more_expensive(store: Store) -> None:
    counter = CostCounter(store)
    _insert(store, range(_FEW))
    few = {name: counter.cost_of(call) for name, call in _calls(store, _FEW).items()}
    _insert(store, range(_FEW, _MANY))
    many = {name: counter.cost_of(call) for name, call in _calls(store, _MANY).items()}
    rises = [
        f"{name}: from {few[name]} to {cost}"
        for name, cost in many.items()
        if cost > few[name] * _MAX_RISE + _SLACK
    ]
    assert not rises, "\n".join(rises)


def test_another_image_costs_no_more_in_a_long_series(store: Store) -> None:
    counter = CostCounter(store)
    uids = iter(f"1.9.{number}" for number in range(1000))

    def add() -> None:
        add_instances(store, next(uids))

    add()
    let_tables_seem_large(store)
    short = counter.cost_of(add)
    add_instances(store, *(next(uids) for _ in range(300)))
    let_tables_seem_large(store)
    assert counter.cost_of(add) <= short * _MAX_RISE


def test_a_query_whose_cost_grows_is_found(store: Store) -> None:
    counter = CostCounter(store)

    def read_all() -> None:
        with store._database.reading() as connection:
            connection.exec_driver_sql("SELECT rule FROM jobs WHERE rule = 'liver'").all()

    _insert(store, range(30))
    few = counter.cost_of(read_all)
    _insert(store, range(30, 120))
    assert counter.cost_of(read_all) > 3 * few
