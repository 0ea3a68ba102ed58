"""Each route has one decision about the audit trail."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from node.settings import load_settings
from node.store import Store
from node.web.app import create_app
from node.web.audit.audited_routes import (
    AUDITED_ROUTES,
    RECORDED_WITH_THE_CHANGE,
    UNAUDITED_ROUTES,
)
from node.web.permissions import PUBLIC_ROUTES, Route
from tests.support.factories import sqlite_url

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    yield create_app(load_settings(None), store)
    store.close()


def routes(app: FastAPI) -> set[Route]:
    found: set[Route] = set()
    for context in iter_route_contexts(app.routes):
        if isinstance(context.route, Mount):
            found.add(("", context.route.path))
        else:
            found |= {(method, str(context.path)) for method in context.methods or ()}
    return found


def test_every_route_has_one_decision_and_every_decision_a_route(app: FastAPI) -> None:
    decisions = (set(AUDITED_ROUTES), set(RECORDED_WITH_THE_CHANGE), set(UNAUDITED_ROUTES))
    assert set.union(*decisions) == routes(app)
    assert sum(map(len, decisions)) == len(routes(app))


def test_a_new_route_without_a_decision_is_found(app: FastAPI) -> None:
    app.add_api_route("/api/forgotten", lambda: None, methods=["DELETE"])
    decided = set(AUDITED_ROUTES) | RECORDED_WITH_THE_CHANGE | UNAUDITED_ROUTES
    assert routes(app) - decided == {("DELETE", "/api/forgotten")}


def test_what_changes_something_leaves_a_record(app: FastAPI) -> None:
    unaudited = {path for method, path in UNAUDITED_ROUTES - PUBLIC_ROUTES if method in CHANGING}
    assert unaudited == {
        "/dicom-web/{path:path}",  # it answers what no other route does with 405
        # These check something and change nothing.
        "/configuration/check",
        "/api/configuration/check",
        "/connections/{table}/test/{name:path}",
        "/api/connections/{table}/test/{name:path}",
        "/fragments/configuration/rules/{number}",
        "/api/rules/dry-run",
    }


def test_the_types_of_objects_are_those_of_parameters_of_the_path() -> None:
    for (_, path), audited in AUDITED_ROUTES.items():
        for name in audited.objects:
            assert f"{{{name}}}" in path or f"{{{name}:path}}" in path or name == "name"
