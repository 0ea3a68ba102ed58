"""Logins and changes while the database cannot be written: all or nothing, and a clear answer.

An embedded database is locked, or its disk is full; PostgreSQL is stopped and started again.
The node takes HTTPS alone.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

from node.access.api_tokens import TokenKeeper
from node.access.passwords import hash_password
from node.access.sessions import cookie_name, csrf_token
from node.domain.access.permissions import Permission, Role
from tests.support.audit_records import audit_records
from tests.support.peers.secure_port import TlsSite, client_context
from tests.support.servers.broken_transactions import stops_before
from tests.support.servers.postgresql_server import PostgresqlServer
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.small_disk import SmallDisk, small_disk

COOKIE = cookie_name(is_https=True)
PASSWORD = "violet tractor sings quietly"
NEW_PASSWORD = "seven paper lanterns at noon"
Fault = Callable[[ServedNode], AbstractContextManager[object]]
Browser = Callable[[ServedNode], httpx.Client]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("small") / "disk", 16) as disk:
        yield disk


@contextmanager
def node_with_users(
    folder: Path, certificates: TlsSite, configuration: str = ""
) -> Iterator[ServedNode]:
    folder.mkdir()
    https = certificates.https_context()
    with served_node(folder, configuration, login="required", tls=https) as node:
        now = datetime.now(UTC)
        for name in ("admin", "other"):
            node.store.add_user(name, Role.ADMINISTRATOR, now, hash_password(PASSWORD))
        yield node


@pytest.fixture(scope="module")
def embedded(disk: SmallDisk, certificates: TlsSite) -> Iterator[ServedNode]:
    with node_with_users(disk.folder / "node", certificates) as node:
        yield node


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="module")
def on_server(
    server: PostgresqlServer, tmp_path_factory: pytest.TempPathFactory, certificates: TlsSite
) -> Iterator[ServedNode]:
    text = f'database_url = "{server.new_migrated_database()}"\n'
    folder = tmp_path_factory.mktemp("server") / "node"
    with node_with_users(folder, certificates, text) as node:
        yield node


def locked(node: ServedNode) -> AbstractContextManager[object]:
    """Another process writes for a long time."""
    return node.store._database.writing()


@pytest.fixture(params=["locked", "full", "gone"])
def name_of_fault(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def node(name_of_fault: str, request: pytest.FixtureRequest) -> ServedNode:
    """The node whose database has the fault."""
    found = request.getfixturevalue("on_server" if name_of_fault == "gone" else "embedded")
    assert isinstance(found, ServedNode)
    return found


@pytest.fixture
def fault(name_of_fault: str, request: pytest.FixtureRequest) -> Fault:
    """What keeps the database from being written, for the length of a block."""
    match name_of_fault:
        case "gone":
            return partial(stopped, request.getfixturevalue("server"))
        case "full":
            return partial(full, request.getfixturevalue("disk"))
    return locked


@contextmanager
def stopped(server: PostgresqlServer, _node: ServedNode) -> Iterator[None]:
    """PostgreSQL is stopped, and every connection to it breaks."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def full(disk: SmallDisk, node: ServedNode) -> Iterator[None]:
    """The disk of the database is full."""
    # What the write-ahead log holds already can be written without further space.
    with node.store._database.reading() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    disk.fill()
    try:
        yield
    finally:
        disk.clear()


@pytest.fixture(scope="session")
def browser(certificates: TlsSite) -> Browser:
    """Returns a browser that trusts the node, which takes HTTPS alone."""
    context = client_context(certificates.authority)
    return lambda node: httpx.Client(base_url=node.url, verify=context)


@pytest.fixture
def client(node: ServedNode, browser: Browser) -> Iterator[httpx.Client]:
    """A browser of an administrator who has logged in."""
    node.store.remove_old_failures(datetime.now(UTC) + timedelta(days=1), timedelta(0))
    with browser(node) as made:
        assert log_in(made).status_code == 303
        yield made


def log_in(client: httpx.Client, name: str = "admin", password: str = PASSWORD) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password})


def form_of(client: httpx.Client, **fields: str) -> dict[str, str]:
    cookies = {COOKIE: client.cookies[COOKIE]}
    return {"csrf": csrf_token(cookies, is_https=True)} | fields


def logins(node: ServedNode) -> int:
    return sum(
        (each.action, each.outcome) == ("login", "success") for each in audit_records(node.store)
    )


def test_a_login_that_cannot_be_recorded_opens_no_session(
    node: ServedNode, browser: Browser, fault: Fault
) -> None:
    before = logins(node)
    with browser(node) as client:
        with fault(node):
            answer = log_in(client)
            assert answer.status_code == 503
            assert "database" in answer.text
            assert COOKIE not in client.cookies
        assert logins(node) == before
        assert log_in(client).status_code == 303, "it works again by itself"
        assert client.get("/api/series").status_code == 200
    assert logins(node) == before + 1


def test_who_has_logged_in_can_read_meanwhile_or_is_told_why_not(
    node: ServedNode, client: httpx.Client, fault: Fault, name_of_fault: str
) -> None:
    expected = 503 if name_of_fault == "gone" else 200
    with fault(node):
        assert client.get("/api/series").status_code == expected
        answer = client.get("/overview")
        assert answer.status_code == expected
        assert expected == 200 or "database does not answer" in answer.text
    assert client.get("/api/series").status_code == 200, "the session has outlasted it"


def test_a_logout_that_cannot_be_written_says_so_and_can_be_repeated(
    node: ServedNode, client: httpx.Client, fault: Fault
) -> None:
    form = form_of(client)
    with fault(node):
        assert client.post("/logout", data=form).status_code == 503
    assert client.get("/api/series").status_code == 200, "the session is still there"
    assert client.post("/logout", data=form).status_code == 303
    assert client.get("/api/series").status_code == 401


def test_a_password_is_changed_with_its_sessions_or_not_at_all(
    node: ServedNode, browser: Browser, client: httpx.Client, fault: Fault
) -> None:
    form = form_of(client, current=PASSWORD, password=NEW_PASSWORD, repeated=NEW_PASSWORD)
    with fault(node):
        assert client.post("/account/password", data=form).status_code == 503
    with browser(node) as other:
        assert log_in(other).status_code == 303, "the former password still counts"
        assert log_in(other, password=NEW_PASSWORD).status_code == 422


def test_a_token_is_created_with_its_record_or_not_at_all(
    node: ServedNode, client: httpx.Client, fault: Fault
) -> None:
    body = {"name": "hook", "may": ["send"], "days": 1}
    headers = {"X-CSRF-Token": form_of(client)["csrf"]}
    with fault(node):
        answer = client.post("/api/tokens", json=body, headers=headers)
        assert answer.status_code == 503
    assert [each.name for each in node.store.list_api_tokens()] == []
    assert not any(each.action == "token changed" for each in audit_records(node.store))


def test_a_user_is_added_and_disabled_completely_or_not_at_all(
    node: ServedNode, client: httpx.Client, fault: Fault
) -> None:
    with fault(node):
        form = form_of(client, name="new", role="viewer")
        assert client.post("/users", data=form).status_code == 503
        disabled = client.post("/users/other/disable", data=form_of(client))
        assert disabled.status_code == 503
    users = {each.name: each for each in node.store.list_users()}
    assert "new" not in users
    assert not users["other"].is_disabled


def test_the_trail_has_no_fault_afterwards(node: ServedNode) -> None:
    assert node.store.audit_chain_faults() == ()


def test_tokens_and_sessions_outlast_a_restart(
    disk: SmallDisk, certificates: TlsSite, browser: Browser
) -> None:
    folder = disk.folder / "restarted"
    with node_with_users(folder, certificates) as first:
        now = datetime.now(UTC)
        with browser(first) as client:
            log_in(client)
            cookies = dict(client.cookies)
        keeper = TokenKeeper(first.store, "a test", 365)
        token = keeper.create("viewer", frozenset({Permission.VIEW}), timedelta(days=1), now)
    with served_node(folder, login="required", tls=certificates.https_context()) as second:
        with browser(second) as client:
            client.cookies.update(cookies)
            assert client.get("/api/series").status_code == 200
        headers = {"Authorization": f"Bearer {token}"}
        with browser(second) as program:
            assert program.get("/api/series", headers=headers).status_code == 200


def test_postgresql_may_stop_before_any_transaction_of_a_login(
    on_server: ServedNode,
    browser: Browser,
    server: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each step: no session without its record, and the next login works."""
    on_server.store.remove_old_failures(datetime.now(UTC) + timedelta(days=1), timedelta(0))
    before, opened, status, step = logins(on_server), 0, 503, 0
    while status != 303:
        step += 1
        with browser(on_server) as client:
            with stops_before(step, server, monkeypatch):
                status = log_in(client).status_code
            assert status == (303 if COOKIE in client.cookies else 503)
            opened += status == 303
    assert step > 3, "there were several transactions"
    assert logins(on_server) - before >= opened
    assert on_server.store.audit_chain_faults() == ()


def test_postgresql_may_stop_before_any_transaction_of_a_change_of_password(
    on_server: ServedNode,
    browser: Browser,
    server: PostgresqlServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each step, the former password counts where the answer is 503, else the new one."""
    current, other, status, step = PASSWORD, NEW_PASSWORD, 503, 0
    while status != 303:
        step += 1
        on_server.store.remove_old_failures(datetime.now(UTC) + timedelta(days=1), timedelta(0))
        with browser(on_server) as client:
            assert log_in(client, "other", current).status_code == 303
            form = form_of(client, current=current, password=other, repeated=other)
            with stops_before(step, server, monkeypatch):
                status = client.post("/account/password", data=form).status_code
        with browser(on_server) as client:
            counts = [log_in(client, "other", each).status_code for each in (current, other)]
        assert counts == ([422, 303] if status == 303 else [303, 422])
    assert step > 3, "there were several transactions"
