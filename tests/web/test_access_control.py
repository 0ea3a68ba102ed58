"""Each route demands its permission of every sender; without one, nothing about the node shows."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, product

import httpx
import pytest

from node.domain.access.external_users import EXTERNAL_PREFIX, ExternalPerson
from node.domain.access.permissions import Permission, Role
from node.web.permissions import HEALTH_ROUTES, PUBLIC_ROUTES, ROUTE_PERMISSIONS, Route
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import BrowserSession, add_user, open_session

PROTECTED = sorted(ROUTE_PERMISSIONS)
NOT_FOR_ALL = [route for route in PROTECTED if ROUTE_PERMISSIONS[route] is not Permission.VIEW]
PROGRAM_PATHS = ("/api/", "/dicom-web", "/metrics", "/events/", "/fragments/")
UNKNOWN = ("expired", "expired at the provider", "idle", "logged out", "invented")
# The pages of accounts, which people whom a provider knows do not have.
OF_ACCOUNTS = "/account"
# The last of these sessions is gone afterwards.
ENDING = {("POST", "/logout"), ("POST", "/users/{name}/end-sessions")}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node"), login="required") as node:
        for role in Role:
            add_user(node.store, role, role)
            node.store.record_external_login(person(role), datetime.now(UTC))
        yield node


def person(role: Role) -> ExternalPerson:
    return ExternalPerson("https://login.example", role, role, role, role)


@pytest.fixture(scope="module")
def sessions(node: ServedNode) -> dict[str, BrowserSession]:
    """One session of each role, and sessions that do not count any more."""
    long_ago = datetime.now(UTC) - timedelta(hours=12, minutes=1)
    idle_since = datetime.now(UTC) - timedelta(minutes=31)
    ended = open_session(node, "administrator")
    with ended.client(node) as client:
        assert client.post("/logout").status_code == 303
    names = [f"{prefix}{role}" for role, prefix in product(Role, ("", EXTERNAL_PREFIX))]
    known = {name: open_session(node, name) for name in names}
    return known | {
        "expired": open_session(node, "administrator", long_ago),
        "expired at the provider": open_session(node, "sso:administrator", long_ago),
        "idle": open_session(node, "administrator", idle_since),
        "logged out": ended,
        "invented": BrowserSession("a" * 43),
    }


@pytest.fixture(scope="module")
def client(node: ServedNode) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=node.url) as client:
        yield client


def request(
    client: httpx.Client, route: Route, session: BrowserSession | None = None
) -> httpx.Response:
    """Requests a route with values for the parameters of its path; sends the path unchanged."""
    method, path = route
    address = re.sub(r"{(\w+)(:path)?}", lambda part: "1" if part[1] == "number" else "x", path)
    headers = {}
    if session is not None:
        cookie = "; ".join(f"{name}={value}" for name, value in session.cookies.items())
        headers = {"Cookie": cookie, "X-CSRF-Token": session.token}
    target = {"target": address.encode()}
    # An event stream has no end: only the head of each response is read.
    with client.stream(method, "/", headers=headers, extensions=target) as answer:
        return answer


@pytest.mark.parametrize("route", PROTECTED, ids=" ".join)
def test_a_route_answers_only_those_with_its_permission(
    node: ServedNode, client: httpx.Client, sessions: dict[str, BrowserSession], route: Route
) -> None:
    for unknown in (None, *UNKNOWN):
        answer = request(client, route, None if unknown is None else sessions[unknown])
        if route[1].startswith(PROGRAM_PATHS):
            assert answer.status_code == 401, unknown
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        else:
            assert answer.status_code == 303, unknown
            assert answer.headers["Location"].startswith("/login")
    for role, prefix in product(Role, ("", EXTERNAL_PREFIX)):
        name = f"{prefix}{role}"
        session = open_session(node, name) if route in ENDING else sessions[name]
        answer = request(client, route, session)
        has_page = not prefix or not route[1].startswith(OF_ACCOUNTS)
        may = ROUTE_PERMISSIONS[route] in role.permissions and has_page
        assert (answer.status_code not in {401, 403}) if may else (answer.status_code == 403), name
        assert not answer.headers.get("Location", "").startswith("/login") or route in ENDING


def test_a_refusal_is_a_problem_for_programs_and_a_page_for_people(
    node: ServedNode, client: httpx.Client, sessions: dict[str, BrowserSession]
) -> None:
    answer = client.get("/api/series")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 401
    assert "login" in answer.json()["detail"]
    with sessions["expired"].client(node) as expired:
        assert "session has ended" in expired.get("/api/series").json()["detail"]
    with sessions["viewer"].client(node) as viewer:
        answer = viewer.post("/api/fetch")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (
            "needs the permission 'operate', which viewer does not have" in answer.json()["detail"]
        )
        answer = viewer.get("/queues/discard")
        assert answer.status_code == 403
        assert answer.headers["Content-Type"].startswith("text/html")
        assert "An administrator of the node can grant it" in answer.text


def test_a_page_leads_to_the_login_and_back(client: httpx.Client) -> None:
    answer = client.get("/series/1.2.3?tab=jobs")
    assert answer.headers["Location"] == "/login?next=%2Fseries%2F1.2.3%3Ftab%3Djobs"
    assert client.get("/").headers["Location"] == "/login"
    assert client.post("/jobs/1/retry").headers["Location"] == "/login"


def test_a_link_in_another_system_is_requested_again_with_the_cookie(client: httpx.Client) -> None:
    answer = client.get('/series/1.2.3?a="><b>', headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'url=/series/1.2.3?a=%22%3E%3Cb%3E"' in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_route_that_the_table_forgets_needs_every_permission(
    node: ServedNode, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ROUTE_PERMISSIONS, ("GET", "/api/series"))
    assert client.get("/api/series").status_code == 401
    for role in Role:
        status = request(client, ("GET", "/api/series"), open_session(node, role)).status_code
        assert status == (200 if role is Role.ADMINISTRATOR else 403)


@pytest.mark.parametrize("route", NOT_FOR_ALL, ids=" ".join)
def test_neither_another_method_nor_a_spelling_gives_a_role_more(
    client: httpx.Client, sessions: dict[str, BrowserSession], route: Route
) -> None:
    method, path = route
    refused = [role for role in Role if ROUTE_PERMISSIONS[route] not in role.permissions]
    session = sessions[refused[-1]]
    for sent in variants(path):
        status = request(client, (method, sent), session).status_code
        assert status in {307, 403, 404, 405}, sent
    for other in {"HEAD", "OPTIONS", "PATCH", "DELETE", "TRACE", "X"} - {method}:
        if (other, path) not in ROUTE_PERMISSIONS and not path.startswith("/dicom-web"):
            status = request(client, (other, path), session).status_code
            assert status in {403, 404, 405}, other


def variants(path: str) -> Sequence[str]:
    """Spellings of an address that some servers take for the address itself."""
    return [
        f"{path}/",
        f"/{path}",
        f"/static/..{path}",
        f"/static/%2e%2e{path}",
        f"/static%2f..{path}",
        f"{path};x",
        f"{path}%00",
        f"{path}%20",
        path.upper() if path.isupper() else path[:1] + path[1:2].upper() + path[2:],
    ]


def test_a_header_changes_neither_the_method_nor_the_address(
    node: ServedNode, client: httpx.Client, sessions: dict[str, BrowserSession]
) -> None:
    with sessions["viewer"].client(node) as viewer:
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            viewer.get("/queues", params={"_method": "POST"}, headers={name: "POST"})
            answer = viewer.get("/queues/inference/pause", headers={name: "POST"})
            assert answer.status_code in {404, 405}
            answer = viewer.post("/queues/inference/pause", headers={name: "GET"})
            assert answer.status_code == 403
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix", "X-Forwarded-Path"):
            answer = viewer.get("/users", headers={name: "/queues"})
            assert answer.status_code == 403
            assert viewer.get("/queues", headers={name: "/users"}).status_code == 200
    assert not node.store.is_inference_paused()


@pytest.mark.parametrize(
    "address",
    [
        "/api/series%3Fx",
        "/static/../api/series",
        "/static/%2e%2e/api/series",
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
    answer = request(client, ("GET", address))
    assert answer.status_code in {303, 307, 401, 404}
    if answer.status_code == 307:
        assert client.get(answer.headers["Location"]).status_code == 401


def test_a_forged_host_does_not_change_the_route(client: httpx.Client) -> None:
    for host in ("localhost/health/live?", "localhost/health/live#", "127.0.0.1/static/"):
        assert client.get("/api/series", headers={"Host": host}).status_code in {401, 421}


def test_the_session_in_an_address_or_a_header_does_not_count(
    client: httpx.Client, sessions: dict[str, BrowserSession]
) -> None:
    identifier = sessions["administrator"].identifier
    for name in ("segnode-session", "session", "sid", "token", "access_token"):
        assert client.get("/api/series", params={name: identifier}).status_code == 401
    assert client.get("/api/series", headers={"X-Session": identifier}).status_code == 401


def test_the_public_routes_show_the_status_alone(
    node: ServedNode, client: httpx.Client, sessions: dict[str, BrowserSession]
) -> None:
    assert HEALTH_ROUTES < PUBLIC_ROUTES
    assert client.get("/health/live").json() == {"status": "ok"}
    assert set(client.get("/health").json()) == {"status"}
    assert set(client.get("/health/ready").json()) == {"status"}
    with sessions["viewer"].client(node) as viewer:
        assert {"database", "destinations", "worker"} <= set(viewer.get("/health").json())
        assert "problems" in viewer.get("/health/ready").json()


def test_no_permission_is_missing_in_the_next_higher_role() -> None:
    sets = [role.permissions for role in Role]
    assert all(lower < higher for lower, higher in pairwise(sets))
    assert sets[-1] == frozenset(Permission)
