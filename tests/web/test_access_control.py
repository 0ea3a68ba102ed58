"""Each route demands its permission of every sender; without one, nothing about the node shows."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from node.access.authentication import Authenticator, Refusal, RequestFacts
from node.access.authenticators import authenticators_from
from node.domain.access.identities import Identity, IdentityOrigin
from node.domain.access.permissions import Permission, Role
from node.settings import Settings, load_settings
from node.store import Store
from node.web.app import create_app
from node.web.permissions import PUBLIC_ROUTES, ROUTE_PERMISSIONS, Route
from tests.support.factories import sqlite_url
from tests.support.servers.served_node import served_node, serving

PROTECTED = sorted(ROUTE_PERMISSIONS)
PROGRAM_PATHS = ("/api/", "/dicom-web", "/metrics", "/events/", "/fragments/")


def _sender(facts: RequestFacts) -> Identity | Refusal | None:
    """An authenticator for tests: the role is in a header."""
    match facts.header("x-role"):
        case None:
            return None
        case "expired":
            return Refusal("the session has expired; log in again")
        case role:
            return Identity("somebody", Role(role).permissions, IdentityOrigin.SESSION)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("node")
    own = load_settings(None)

    def authenticators(settings: Settings, store: Store) -> Sequence[Authenticator]:
        return (_sender,) if settings is own else authenticators_from(settings, store)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("node.web.app.authenticators_from", authenticators)
        store = Store.open(sqlite_url(folder), folder)
        yield create_app(own, store)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[httpx.Client]:
    settings, store = app.state.settings, app.state.store
    with serving(app, settings, store) as node, httpx.Client(base_url=node.url) as client:
        yield client


def request(client: httpx.Client, route: Route, role: str | None = None) -> httpx.Response:
    """Requests a route with values for the parameters of its path."""
    method, path = route
    address = re.sub(r"{(\w+)(:path)?}", lambda part: "1" if part[1] == "number" else "x", path)
    headers = {} if role is None else {"X-Role": role}
    # An event stream has no end: only the head of each response is read.
    with client.stream(method or "GET", address, headers=headers) as answer:
        return answer


@pytest.mark.parametrize("route", PROTECTED, ids=" ".join)
def test_a_route_answers_only_those_with_its_permission(client: httpx.Client, route: Route) -> None:
    for role in (None, "expired"):
        answer = request(client, route, role)
        if route[1].startswith(PROGRAM_PATHS):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        else:
            assert answer.status_code == 303
            assert answer.headers["Location"].startswith("/login")
    for known in Role:
        status = request(client, route, known).status_code
        may = ROUTE_PERMISSIONS[route] in known.permissions
        assert (status != 403) if may else (status == 403), known
        assert status != 401


def test_a_refusal_is_a_problem_for_programs_and_a_page_for_people(client: httpx.Client) -> None:
    answer = client.get("/api/series")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 401
    assert "login" in answer.json()["detail"]
    answer = client.get("/api/series", headers={"X-Role": "expired"})
    assert answer.json()["detail"] == "the session has expired; log in again"
    answer = client.post("/api/fetch", headers={"X-Role": "viewer"})
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "needs the permission 'operate'" in answer.json()["detail"]
    answer = client.get("/queues/discard", headers={"X-Role": "viewer"})
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "An administrator of the node can grant it" in answer.text


def test_a_page_leads_to_the_login_and_back(client: httpx.Client) -> None:
    answer = client.get("/series/1.2.3?tab=jobs")
    assert answer.headers["Location"] == "/login?next=%2Fseries%2F1.2.3%3Ftab%3Djobs"
    assert client.get("/").headers["Location"] == "/login"
    assert client.post("/jobs/1/retry").headers["Location"] == "/login"


def test_a_route_that_the_table_forgets_needs_every_permission(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ROUTE_PERMISSIONS, ("GET", "/api/series"))
    assert client.get("/api/series").status_code == 401
    for role in (Role.VIEWER, Role.OPERATOR, Role.CONFIGURATOR):
        assert client.get("/api/series", headers={"X-Role": role}).status_code == 403
    assert client.get("/api/series", headers={"X-Role": "administrator"}).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/api/series%3Fx",
        "/static/../api/series",
        "/static%2F..%2Fapi/series",
        "//api/series",
        "/api//series",
        "/API/series",
        "/api/series/",
        "/health/live/../../api/series",
        "/unknown",
    ],
)
def test_no_spelling_of_an_address_avoids_the_login(client: httpx.Client, address: str) -> None:
    answer = client.get(f"{client.base_url}".rstrip("/") + address)
    assert answer.status_code in {303, 307, 401, 404}
    if answer.status_code == 307:
        assert client.get(answer.headers["Location"]).status_code == 401


def test_a_forged_host_does_not_change_the_route(tmp_path: Path) -> None:
    with served_node(tmp_path, login="required") as node:
        for host in ("localhost/health/live?", "localhost/health/live#", "127.0.0.1/static/"):
            answer = httpx.get(f"{node.url}/api/series", headers={"Host": host})
            assert answer.status_code in {401, 421}


def test_the_public_routes_show_the_status_alone(client: httpx.Client) -> None:
    assert all(method in {"", "GET", "HEAD"} for method, _ in PUBLIC_ROUTES)
    assert client.get("/health/live").json() == {"status": "ok"}
    assert set(client.get("/health").json()) == {"status"}
    assert set(client.get("/health/ready").json()) == {"status"}
    known = {"X-Role": "viewer"}
    assert {"database", "destinations", "worker"} <= set(
        client.get("/health", headers=known).json()
    )
    assert "problems" in client.get("/health/ready", headers=known).json()


def test_no_permission_is_missing_in_the_next_higher_role() -> None:
    sets = [role.permissions for role in Role]
    assert all(lower < higher for lower, higher in pairwise(sets))
    assert sets[-1] == frozenset(Permission)


def test_without_logins_everybody_may_do_everything(tmp_path: Path) -> None:
    with served_node(tmp_path) as node:
        assert httpx.get(f"{node.url}/api/series").status_code == 200
        assert httpx.get(f"{node.url}/metrics").status_code == 200
