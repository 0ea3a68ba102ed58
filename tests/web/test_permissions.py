"""One table gives each route of the web application its permission."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from node.domain.access.permissions import Permission
from node.settings import load_settings
from node.store import Store
from node.web.app import create_app
from node.web.permissions import PUBLIC_ROUTES, ROUTE_PERMISSIONS
from tests.support.factories import sqlite_url


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    yield create_app(load_settings(None), store)
    store.close()


def routes(app: FastAPI) -> set[tuple[str, str]]:
    """The method and path of every route."""
    found = set()
    for context in iter_route_contexts(app.routes):
        if isinstance(context.route, Mount):
            found.add(("", context.route.path))
        else:
            found |= {(method, str(context.path)) for method in context.methods or ()}
    return found


def test_every_route_has_a_permission_and_every_entry_a_route(app: FastAPI) -> None:
    assert routes(app) == set(ROUTE_PERMISSIONS) | PUBLIC_ROUTES
    assert not PUBLIC_ROUTES & set(ROUTE_PERMISSIONS)


def test_a_route_without_an_entry_is_found(app: FastAPI) -> None:
    app.add_api_route("/api/forgotten", lambda: None, methods=["DELETE"])
    assert routes(app) - set(ROUTE_PERMISSIONS) - PUBLIC_ROUTES == {("DELETE", "/api/forgotten")}


def test_what_changes_the_node_needs_more_than_to_view(app: FastAPI) -> None:
    assert {
        path
        for (method, path), permission in ROUTE_PERMISSIONS.items()
        if method in {"POST", "PUT", "PATCH", "DELETE"} and permission is Permission.VIEW
    } == {
        "/dicom-web/{path:path}",  # it answers what no other route does with 405
        "/logout",
        "/account/password",
        "/account/second-factor",
        "/account/second-factor/remove",
    }
