"""Login by nginx with `auth_request`, as deploy/proxy/nginx-login.conf has it.

The stand-in for oauth2-proxy, which does not install here, answers as its documentation says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from node.access.api_tokens import TokenKeeper
from node.access.passwords import hash_password
from node.domain.access.permissions import Permission, Role
from tests.support.servers.loopback_server import LoopbackServer
from tests.support.servers.proxies import NAME, Proxy, running_proxy
from tests.support.servers.served_node import ServedNode, served_node

_SECRET, _PASSWORD = "S3CRET-4711", "violet tractor sings quietly"
_CONFIGURATION = f"""
[web]
names = ["{NAME}"]
trusted_proxies = ["127.0.0.1"]
[access.proxy]
addresses = ["127.0.0.1"]
sign_out_address = "/oauth2/sign_out"
roles = {{ staff = "operator", it = "administrator" }}
"""
_GROUPS = {"jane": "staff,all", "root": "it"}
_SUBJECT = "1f3c2a9e-7d52-4a6f-9b0e-5b4f0c3d2e1a"
# The cookie of oauth2-proxy; that of the stand-in is the name of the person.
_COOKIE = "_oauth2_proxy"
_SESSION = "__Host-segnode-session"
_FORGED = {"X-Forwarded-User": "root", "X-Forwarded-Groups": "it"}


class StandIn(LoopbackServer):
    """Knows people by a cookie, and answers nginx with their name and groups."""

    is_away = False

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Returns the class that answers one request."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if server.is_away:
                    self._answer(503, {})
                    return
                if self.path != "/oauth2/auth":
                    wanted = self.headers.get("X-Auth-Request-Redirect", "")
                    self._answer(200, {"X-Page": self.path, "X-Wanted": wanted})
                    return
                cookie = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
                if cookie is None:
                    self._answer(401, {})
                    return
                name = cookie.value
                person = {
                    "X-Auth-Request-User": _SUBJECT,
                    "X-Auth-Request-Preferred-Username": name,
                    "X-Auth-Request-Groups": _GROUPS[name],
                }
                self._answer(202, person)

            def _answer(self, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Writes no log."""

        return Handler


@dataclass(frozen=True)
class Site:
    """A node, and the proxy that logs people in."""

    node: ServedNode
    proxy: Proxy
    login: "StandIn"

    def browser(self, name: str = "", **headers: str) -> httpx.Client:
        """A browser of somebody who has logged in at the proxy, unless the name is empty."""
        client = self.proxy.client()
        client.headers.update(headers)
        if name:
            client.cookies.set(_COOKIE, name)
        return client


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    secret = folder / "proxy-secret"
    secret.write_text(_SECRET, encoding="utf-8")
    secret.chmod(0o600)
    (folder / "authority").mkdir()
    include = folder / "authority" / "segnode-secret.conf"
    include.write_text(f'proxy_set_header X-Proxy-Secret "{_SECRET}";\n', encoding="utf-8")
    configuration = _CONFIGURATION + f'secret_file = "{secret}"\n'
    with StandIn() as login, served_node(folder, configuration, login="required") as node:
        password = hash_password(_PASSWORD)
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), password)
        port = int(node.url.rpartition(":")[2])
        with running_proxy(
            "nginx", folder, port, example="nginx-login.conf", login_port=login.port
        ) as proxy:
            yield Site(node, proxy, login)


def test_somebody_who_has_logged_in_at_the_proxy_sees_the_console(site: Site) -> None:
    with site.browser("jane") as client:
        page = client.get("/queues", follow_redirects=True)
        assert (page.status_code, page.url.path) == (200, "/queues")
        assert client.get("/api/series").status_code == 200
        assert client.get("/users").status_code == 403
    assert site.node.store.get_user("sso:jane").role is Role.OPERATOR
    assert all(_SUBJECT not in user.name for user in site.node.store.list_users())


def test_somebody_else_logs_in_first(site: Site) -> None:
    with site.browser() as client:
        wanted = "/series?state=refused&since=2026-11-01&q=a%26b"
        answer = client.get(wanted)
        assert (answer.status_code, answer.headers["X-Page"]) == (200, "/oauth2/sign_in")
        assert answer.headers["X-Wanted"] == wanted, "after the login, the whole search is there"
        assert client.post("/queues").headers["Location"].endswith("/oauth2/sign_in")
        assert client.get("/oauth2/sign_in").headers["X-Page"] == "/oauth2/sign_in"
        assert client.get("/oauth2/auth").status_code == 404, "only nginx itself asks"


@pytest.mark.parametrize(
    "forged",
    [
        _FORGED,
        {"X_Forwarded_User": "root", "X_Forwarded_Groups": "it"},
        {"X-Auth-Request-User": "root", "X-Auth-Request-Groups": "it"},
        _FORGED | {"Authorization": "Bearer none"},
        _FORGED | {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
        {"x-forwarded-user": "root", "x-forwarded-groups": "it", "Connection": "X-Forwarded-User"},
    ],
)
def test_nobody_names_themselves(site: Site, forged: dict[str, str]) -> None:
    with site.browser(**forged) as client:
        answer = client.get("/api/series")
        assert answer.status_code == 401 or answer.headers["X-Page"] == "/oauth2/sign_in"
        client.get("/login/proxy")
        assert _SESSION not in client.cookies
    with site.browser("jane", **forged) as client:
        client.get("/login/proxy")
        assert client.get("/users").status_code != 200, "still an operator, or an invalid token"


def test_a_logout_at_the_proxy_ends_the_session(site: Site) -> None:
    with site.browser("jane") as client:
        client.get("/login/proxy")
        assert client.get("/api/series").status_code == 200
        client.cookies.delete(_COOKIE)
        assert client.get("/api/series").status_code == 401


def test_programs_send_a_token_of_the_node_by_the_same_proxy(site: Site) -> None:
    keeper = TokenKeeper(site.node.store, "a test", 365)
    token = keeper.create(
        "viewer", frozenset({Permission.VIEW}), timedelta(days=1), datetime.now(UTC)
    )
    with site.browser(Authorization=f"Bearer {token}") as client:
        assert client.get("/api/series").status_code == 200
        assert client.post("/dicom-web/studies", content=b"x" * 100).status_code == 403


@pytest.mark.parametrize("is_away", [False, True])
def test_an_administrator_can_use_an_account_of_the_node_by_the_proxy(
    site: Site, is_away: bool
) -> None:
    site.login.is_away = is_away
    try:
        with site.browser() as client:
            assert client.get("/health/live").status_code == 200
            assert client.get("/login").status_code == 200
            answer = client.post("/login", data={"name": "admin", "password": _PASSWORD})
            assert answer.status_code == 303
            assert client.get("/users").status_code == 200
        with site.browser(**_FORGED) as client:
            for path in ("/api/series", "/login/proxy"):
                answer = client.get(path)
                assert answer.status_code == (503 if is_away else 200)
                assert is_away or answer.headers["X-Page"] == "/oauth2/sign_in"
    finally:
        site.login.is_away = False


def test_nobody_on_the_machine_of_the_proxy_can_log_in_without_the_secret(site: Site) -> None:
    assert httpx.get(f"{site.node.url}/login/proxy", headers=_FORGED).status_code == 403
