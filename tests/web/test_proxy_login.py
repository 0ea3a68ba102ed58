"""Login by a proxy that names people, and what somebody tries who is not the proxy."""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from node.access.passwords import hash_password
from node.domain.access.permissions import Role
from tests.support.audit_records import audit_records
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import BrowserSession

COOKIE = "segnode-session"
PASSWORD = "violet tractor sings quietly"
SECRET = "S3CRET-4711"
# The tests connect from the first one as the proxy, and from the second one as somebody else.
PROXY, OTHER = "127.0.0.1", "127.0.0.2"
JANE = {"X-Forwarded-User": "jane", "X-Forwarded-Groups": "all,staff"}


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("secret") / "proxy-secret"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def configuration(more: str = "") -> str:
    return f"""
[web]
trusted_proxies = ["{PROXY}"]
[access]
local_accounts = "administrators"
[access.proxy]
addresses = ["{PROXY}"]
sign_out_address = "/oauth2/sign_out"
roles = {{ staff = "operator", it = "administrator" }}
{more}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    folder = tmp_path_factory.mktemp("node")
    with served_node(folder, configuration(), login="required") as node:
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hash_password(PASSWORD))
        yield node


@pytest.fixture(scope="module")
def node_with_secret(
    tmp_path_factory: pytest.TempPathFactory, secret: Path
) -> Iterator[ServedNode]:
    folder = tmp_path_factory.mktemp("node")
    more = f'secret_file = "{secret}"\n'
    with served_node(folder, configuration(more), login="required") as node:
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hash_password(PASSWORD))
        yield node


def browser(
    node: ServedNode,
    headers: dict[str, str],
    address: str = PROXY,
    cookies: dict[str, str] | None = None,
) -> httpx.Client:
    """A browser behind the proxy, or somebody who connects from another address."""
    transport = httpx.HTTPTransport(local_address=address)
    return httpx.Client(base_url=node.url, headers=headers, transport=transport, cookies=cookies)


def is_logged_in(client: httpx.Client) -> bool:
    return client.get("/api/series").status_code == 200


def naming(name: str | bytes, groups: bytes = b"it") -> list[tuple[bytes, bytes]]:
    """The headers with which the proxy names somebody."""
    return [(b"X-Forwarded-User", _encoded(name)), (b"X-Forwarded-Groups", groups)]


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def form_of(client: httpx.Client) -> dict[str, str]:
    return {"csrf": BrowserSession(client.cookies[COOKIE]).token}


def test_a_page_opens_for_somebody_whom_the_proxy_names(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        page = client.get("/queues?state=waiting", follow_redirects=True)
        assert (page.status_code, page.url.path) == (200, "/queues")
        assert [each.url.path for each in page.history] == ["/queues", "/login/proxy"]
        assert is_logged_in(client)
        assert client.get("/users").status_code == 403, "staff are operators"
    user = node.store.get_user("sso:jane")
    assert (user.role, user.has_password) == (Role.OPERATOR, False)
    login = next(each for each in audit_records(node.store) if each.action == "login")
    assert (login.actor, login.outcome) == ("sso:jane", "success")


def test_programs_get_401_until_there_is_a_session(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        assert client.get("/dicom-web/studies").status_code == 401
        client.get("/login/proxy")
        assert client.get("/dicom-web/studies").status_code in {200, 204}


def test_each_group_has_its_role_and_the_highest_counts(node: ServedNode) -> None:
    for groups, status in (("it , staff", 200), ("staff", 403)):
        with browser(node, {"X-Forwarded-User": "bob", "X-Forwarded-Groups": groups}) as client:
            assert client.get("/users", follow_redirects=True).status_code == status


def test_somebody_without_a_role_reads_why(node: ServedNode) -> None:
    headers = {"X-Forwarded-User": "guest", "X-Forwarded-Groups": "visitors"}
    with browser(node, headers) as client:
        page = client.get("/", follow_redirects=True)
        assert page.status_code == 403
        assert "none of your groups may use this node" in page.text
        assert "Log in with an account of this node" in page.text
        assert COOKIE not in client.cookies
    failed = audit_records(node.store)[0]
    assert (failed.action, failed.outcome, failed.actor) == ("login", "minor failure", "")
    assert failed.detail == "by the proxy: no group of the person has a role"


def test_a_disabled_user_cannot_log_in(node: ServedNode) -> None:
    headers = JANE | {"X-Forwarded-User": "former"}
    with browser(node, headers) as client:
        client.get("/login/proxy")
        assert is_logged_in(client)
        node.store.set_disabled("sso:former", True)
        for spelling in ("FORMER", "\N{FULLWIDTH LATIN SMALL LETTER F}ormer", "Former"):
            with browser(node, {}) as other:
                assert other.get("/login/proxy", headers=naming(spelling)).status_code == 403
        refused = audit_records(node.store)[0]
        assert (refused.action, refused.outcome, refused.actor) == (
            "login",
            "minor failure",
            "sso:former",
        )
        assert not is_logged_in(client)
        assert "is disabled on this node" in client.get("/", follow_redirects=True).text


def test_a_session_ends_when_the_proxy_names_nobody_or_somebody_else(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        client.get("/login/proxy")
        assert is_logged_in(client)
        john = JANE | {"X-Forwarded-User": "john"}
        assert client.get("/api/series", headers=john).status_code == 401
        cookies = {COOKIE: client.cookies[COOKIE]}
        with browser(node, {}, cookies=cookies) as without:
            assert without.get("/api/series").status_code == 401
            page = without.get("/", follow_redirects=True)
            assert (page.status_code, page.url.path) == (200, "/login")
        assert is_logged_in(client)


def test_changed_groups_count_at_once(node: ServedNode) -> None:
    with browser(node, JANE | {"X-Forwarded-User": "mover"}) as client:
        client.get("/login/proxy")
        administrator = {"X-Forwarded-Groups": "it"}
        assert client.get("/api/series", headers=administrator).status_code == 401
        assert client.get("/users", headers=administrator, follow_redirects=True).status_code == 200
        assert not is_logged_in(client), "with the former groups, the session ends again"


def test_a_logout_leads_to_that_of_the_proxy(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        client.get("/login/proxy")
        answer = client.post("/logout", data=form_of(client))
        assert 'content="0; url=/oauth2/sign_out"' in answer.text
        assert not is_logged_in(client)


def test_forms_need_the_token_of_the_session(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        client.get("/login/proxy")
        pause = "/queues/inference/pause"
        assert client.post(pause, data={"reason": "a test"}).status_code == 403
        foreign = client.post(
            pause, data={"reason": "a test"} | form_of(client), headers={"Origin": "https://evil"}
        )
        assert foreign.status_code == 403
        assert client.post(pause, data={"reason": "a test"} | form_of(client)).status_code == 303


def test_administrators_can_log_in_with_an_account_behind_the_proxy(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        page = client.get("/login")
        assert 'href="/login/proxy?next=%2F"' in page.text
        client.post("/login", data={"name": "admin", "password": PASSWORD})
        assert client.get("/users").status_code == 200
    with browser(node, {}, OTHER) as client:
        client.post("/login", data={"name": "admin", "password": PASSWORD})
        assert client.get("/users").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        JANE,
        JANE | {"X-Forwarded-For": PROXY},
        JANE | {"X-Forwarded-For": f"{PROXY}, {OTHER}", "X-Real-IP": PROXY},
        JANE | {"Forwarded": f"for={PROXY};by={PROXY}"},
        JANE | {"Host": PROXY},
    ],
)
def test_who_is_not_the_proxy_cannot_name_anybody(
    node: ServedNode, headers: dict[str, str]
) -> None:
    with browser(node, headers, OTHER) as client:
        answer = client.get("/login/proxy")
        assert answer.status_code in {403, 421}
        assert COOKIE not in client.cookies
        assert client.get("/api/series", headers={"Host": "localhost"}).status_code == 401


def test_a_session_of_the_proxy_does_not_count_past_the_proxy(node: ServedNode) -> None:
    with browser(node, JANE) as client:
        client.get("/login/proxy")
        stolen = {COOKIE: client.cookies[COOKIE]}
    with browser(node, JANE, OTHER, stolen) as other:
        assert other.get("/api/series").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", ""), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", "\N{NO-BREAK SPACE}"), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", "jane"), ("X-Forwarded-User", "root"), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", "jane, root"), ("X-Forwarded-Groups", "it")],
        [("X_Forwarded_User", "root"), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded_User", "root"), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", "jane"), ("X_Forwarded_Groups", "it")],
        [
            ("X-Forwarded-User", "jane"),
            ("X-Forwarded-Groups", "staff"),
            ("X-Forwarded-Groups", "it"),
        ],
        [("X-Forwarded-User", "jane"), ("X-Forwarded-Groups", "")],
        [("X-Forwarded-User", "jane"), ("X-Forwarded-Groups", "IT")],
        [("X-Forwarded-User", "jane"), ("X-Forwarded-Groups", "it;staff")],
        [("X-Forwarded-User", "ja\tne"), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", b"\xff\xfe"), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-User", "x" * 256), ("X-Forwarded-Groups", "it")],
        [("X-Forwarded-Email", "jane"), ("X-Forwarded-Groups", "it")],
    ],
)
def test_headers_that_are_missing_repeated_or_no_names_log_nobody_in(
    node: ServedNode, headers: list[tuple[str, str | bytes]]
) -> None:
    with browser(node, {}) as client:
        sent = [(name.encode(), _encoded(value)) for name, value in headers]
        assert client.get("/login/proxy", headers=sent).status_code == 403
        assert COOKIE not in client.cookies


def test_a_name_cannot_be_that_of_an_account(node: ServedNode) -> None:
    for name in ("admin", "sso:admin", "ADMIN", "admin@hospital", "ädmin", "a b"):
        with browser(node, JANE) as client:
            sent = [(b"X-Forwarded-User", name.encode()), (b"X-Forwarded-Groups", b"staff")]
            client.headers.clear()
            client.get("/login/proxy", headers=sent)
            assert COOKIE in client.cookies
    names = {user.name for user in node.store.list_users()}
    assert {"sso:admin", "sso:sso-admin", "sso:admin@hospital", "sso:a-b", "sso:ädmin"} <= names
    admin = node.store.get_user("admin")
    assert (admin.role, admin.has_password) == (Role.ADMINISTRATOR, True)


def test_names_that_differ_only_in_letters_are_two_people(node: ServedNode) -> None:
    with browser(node, JANE | {"X-Forwarded-User": "eve b"}) as first:
        first.get("/login/proxy")
        cookies = {COOKIE: first.cookies[COOKIE]}
    eve_b = JANE | {"X-Forwarded-User": "eve-b"}
    with browser(node, eve_b) as second:
        second.get("/login/proxy")
        assert is_logged_in(second)
    with browser(node, eve_b, cookies=cookies) as with_the_other_session:
        assert not is_logged_in(with_the_other_session)
    named = [each.name for each in node.store.list_users() if each.name.startswith("sso:eve-b")]
    assert len(named) == 2


def test_a_name_keeps_its_letters_whatever_their_case_and_composition(node: ServedNode) -> None:
    with browser(node, {}) as client:
        assert client.get("/login/proxy", headers=naming("Börge")).status_code == 303
        for spelling in ("BÖRGE", unicodedata.normalize("NFD", "börge")):
            assert client.get("/api/series", headers=naming(spelling)).status_code == 200
        assert client.get("/api/series", headers=naming("b-rge")).status_code == 401
        assert client.get("/login/proxy", headers=naming("Ольга")).status_code == 303
    names = {user.name for user in node.store.list_users()}
    assert {"sso:börge", "sso:ольга"} <= names


@pytest.mark.parametrize(
    ("first", "second"), [("strasse", "Straße"), ("ﬁona", "fiona"), ("ΟΔΟΣ", "οδοσ")]
)
def test_names_that_directories_may_mistake_share_no_user(
    node: ServedNode, first: str, second: str
) -> None:
    with browser(node, {}) as one, browser(node, {}) as two:
        one.get("/login/proxy", headers=naming(first))
        assert one.get("/api/series", headers=naming(first)).status_code == 200
        users = node.store.list_users()
        answer = two.get("/login/proxy", headers=naming(second))
        assert answer.status_code == 403
        assert "only in its spelling" in answer.text
        assert COOKIE not in two.cookies
        refused = audit_records(node.store)[0]
        assert (refused.actor, refused.outcome) == ("", "minor failure")
        assert node.store.list_users() == users
        assert one.get("/api/series", headers=naming(second)).status_code == 401
        assert one.get("/api/series", headers=naming(first)).status_code == 200


@pytest.mark.parametrize("name", [b"b\xf6rge", "jane, root", "x" * 256, "ja\tne", "İ" * 200])
def test_somebody_whose_name_cannot_be_used_reads_why(node: ServedNode, name: str | bytes) -> None:
    with browser(node, {}) as client:
        page = client.get("/", headers=naming(name), follow_redirects=True)
        assert (page.status_code, page.url.path) == (403, "/login/proxy")
        assert "a name that the node cannot use" in page.text
        assert COOKIE not in client.cookies


@pytest.mark.parametrize("sent", [{}, {"X-Proxy-Secret": "wrong"}, {"X_Proxy_Secret": SECRET}])
def test_without_the_secret_the_proxy_names_nobody(
    node_with_secret: ServedNode, sent: dict[str, str]
) -> None:
    with browser(node_with_secret, JANE | sent) as client:
        assert client.get("/login/proxy").status_code == 403
        assert client.get("/", follow_redirects=True).url.path == "/login"
        assert COOKIE not in client.cookies


def test_the_secret_is_read_at_each_request_and_shown_nowhere(
    node_with_secret: ServedNode, secret: Path
) -> None:
    with browser(node_with_secret, JANE | {"X-Proxy-Secret": SECRET}) as client:
        client.get("/login/proxy")
        assert is_logged_in(client)
        secret.write_text("another\n", encoding="utf-8")
        assert not is_logged_in(client)
        secret.unlink()
        answer = client.get("/api/series")
        assert answer.status_code == 503
        assert SECRET not in answer.text
        secret.write_text(f"{SECRET}\n", encoding="utf-8")
        secret.chmod(0o600)
        assert is_logged_in(client)
    assert SECRET not in str(audit_records(node_with_secret.store))


def test_a_node_without_the_setting_believes_no_proxy(tmp_path: Path) -> None:
    web = f'[web]\ntrusted_proxies = ["{PROXY}"]\n'
    with (
        served_node(tmp_path, web, login="required") as plain,
        browser(plain, JANE | {"X-Forwarded-Groups": "it"}) as client,
    ):
        assert client.get("/login/proxy").status_code == 404
        assert client.get("/api/series").status_code == 401
