"""Tokens of programs by console and REST, and what a token that may only send can do."""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import httpx
import pytest
import structlog
from sqlalchemy import text as sql

from node.access.api_tokens import TokenKeeper
from node.domain.access.permissions import Permission, Role
from node.web.permissions import ROUTE_PERMISSIONS
from tests.support.audit_records import audit_records
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import add_user, open_session

_TOKEN = re.compile(r'id="token">(segnode_[A-Za-z0-9_-]+)<')


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    text = "[access]\ntoken_max_days = 100\n"
    with served_node(tmp_path_factory.mktemp("node"), text, login="required") as served:
        add_user(served.store, "ada", Role.ADMINISTRATOR)
        yield served


@pytest.fixture
def administrator(node: ServedNode) -> Iterator[httpx.Client]:
    with open_session(node, "ada").client(node) as client:
        yield client
    for token in node.store.list_api_tokens():
        TokenKeeper(node.store, "test", 100).revoke(token.name, datetime.now(UTC))


def bearer(node: ServedNode, token: str) -> httpx.Client:
    return httpx.Client(base_url=node.url, headers={"Authorization": f"Bearer {token}"})


def test_the_console_shows_a_new_token_once_and_revokes_it(
    node: ServedNode, administrator: httpx.Client
) -> None:
    form = {"name": "viewer", "may.view": "on", "days": "30"}
    shown = _TOKEN.search(administrator.post("/tokens", data=form).text)
    assert shown is not None
    with bearer(node, shown[1]) as program:
        assert program.get("/api/series").status_code == 200
        page = administrator.get("/tokens").text
        assert "viewer" in page
        assert "from 127.0.0.1" in page
        assert shown[1] not in page
        assert administrator.post("/tokens/viewer/revoke").status_code == 303
        assert program.get("/api/series").status_code == 401
    assert "There are no tokens." in administrator.get("/tokens").text


@pytest.mark.parametrize(
    ("form", "mistake"),
    [
        ({"name": "a b", "may.view": "on", "days": "30"}, "1 to 63 characters"),
        ({"name": "viewer", "days": "30"}, "At least one thing"),
        ({"name": "viewer", "may.view": "on", "days": "x"}, "A whole number"),
        ({"name": "viewer", "may.view": "on", "days": "101"}, "At most 100 days"),
    ],
)
def test_the_console_says_why_a_token_is_not_created(
    administrator: httpx.Client, form: dict[str, str], mistake: str
) -> None:
    answer = administrator.post("/tokens", data=form)
    assert answer.status_code == 422
    assert mistake.lower() in answer.text.lower()


def test_rest_creates_lists_and_revokes_tokens(
    node: ServedNode, administrator: httpx.Client
) -> None:
    body = {"name": "gateway", "may": ["send"], "days": 30}
    created = administrator.post("/api/tokens", json=body)
    assert created.status_code == 201
    assert administrator.post("/api/tokens", json=body).status_code == 422
    assert administrator.post("/api/tokens", json={**body, "days": 101}).status_code == 422
    (listed,) = administrator.get("/api/tokens").json()
    assert (listed["name"], listed["may"], listed["created_by"]) == ("gateway", ["send"], "ada")
    assert created.json()["token"] not in administrator.get("/api/tokens").text
    assert administrator.delete("/api/tokens/gateway").status_code == 204
    assert administrator.delete("/api/tokens/gateway").status_code == 404


def test_a_token_that_may_only_send_reads_and_changes_nothing(
    node: ServedNode, administrator: httpx.Client
) -> None:
    body = {"name": "gateway", "may": ["send"], "days": 30}
    token = administrator.post("/api/tokens", json=body).json()["token"]
    with bearer(node, token) as gateway:
        stored = gateway.post("/dicom-web/studies", content=b"x")
        assert stored.status_code == 415, "it may send, but not this"
        assert gateway.post("/api/series/1.2.3/start").status_code == 404
        for path in ("/api/series", "/dicom-web/studies", "/metrics", "/api/jobs", "/api/queues"):
            assert gateway.get(path).status_code == 403, path
        for path in ("/api/jobs/1/discard", "/api/queues/inference/pause", "/api/fetch"):
            assert gateway.post(path).status_code == 403, path


@pytest.fixture
def token(node: ServedNode, administrator: httpx.Client) -> str:
    """A token that may view."""
    keeper, valid = TokenKeeper(node.store, "ada", 1), timedelta(days=1)
    return keeper.create("viewer", frozenset({Permission.VIEW}), valid, datetime.now(UTC))


@pytest.mark.parametrize("permission", Permission)
def test_a_token_opens_only_the_routes_of_its_permission(
    node: ServedNode, administrator: httpx.Client, permission: Permission
) -> None:
    keeper, valid = TokenKeeper(node.store, "ada", 1), timedelta(days=1)
    token = keeper.create("narrow", frozenset({permission}), valid, datetime.now(UTC))
    (narrow,) = node.store.list_api_tokens()
    with bearer(node, token) as program:
        for (method, path), needed in ROUTE_PERMISSIONS.items():
            if needed not in narrow.permissions:
                address = re.sub(r"{\w+(:path)?}", "1", path)
                with program.stream(method, address) as answer:
                    assert answer.status_code == 403, (method, path)


@pytest.mark.parametrize(
    "end",
    ["DELETE FROM api_tokens", "UPDATE api_tokens SET expires_at = created_at"],
    ids=["revoked", "expired"],
)
def test_an_event_stream_ends_with_its_token(node: ServedNode, token: str, end: str) -> None:
    node.streams.access_period_s = 0.0
    with bearer(node, token) as program:
        with program.stream("GET", "/events/overview") as stream:
            lines = stream.iter_lines()
            assert any(line.startswith("event: overview") for line in lines)
            with node.store._database.writing() as connection:
                connection.execute(sql(end))
            assert list(lines)[-1] == "", "the stream ends"
        assert program.get("/events/overview").status_code == 401


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[StringIO]:
    """What reaches the log by the standard library, but for that of the client of the test.

    `caplog` also shows what is not passed on to the log, such as accesses to the server.
    """
    caplog.set_level("DEBUG")
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_a_token_in_an_address_does_not_count_and_is_not_logged(
    node: ServedNode, token: str, log: StringIO
) -> None:
    with structlog.testing.capture_logs() as lines, httpx.Client(base_url=node.url) as client:
        for name in ("token", "access_token", "authorization", "api_key"):
            for path in ("/api/series", "/dicom-web/studies", "/series/1.2.3"):
                answer = client.get(path, params={name: token})
                assert answer.status_code == (303 if path.startswith("/series") else 401)
        host = node.url.removeprefix("http://")
        # The part before the host of an address is sent as HTTP Basic.
        assert httpx.get(f"http://{token}@{host}/api/series").status_code == 401
    assert token not in f"{lines}{log.getvalue()}"
    (unused,) = node.store.list_api_tokens()
    assert unused.last_used_at is None


def test_changes_of_tokens_are_recorded_with_interface_and_address(
    node: ServedNode, administrator: httpx.Client
) -> None:
    form = {"name": "recorded", "may.view": "on", "days": "30"}
    assert administrator.post("/tokens", data=form).status_code == 200
    assert administrator.delete("/api/tokens/recorded").status_code == 204
    revoked, created = audit_records(node.store)[:2]
    for record, interface in ((created, "console"), (revoked, "api")):
        assert (record.action, record.actor) == ("token changed", "ada")
        assert (record.interface, record.address) == (interface, "127.0.0.1")
        assert record.objects == (("token", "recorded"),)
