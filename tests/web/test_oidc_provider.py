"""Login at an identity provider of another maker: in a browser, and step by step."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from node.access.passwords import hash_password
from node.demo.free_ports import free_ports
from node.domain.access.permissions import Role
from tests.support.servers.identity_provider import CLIENT_ID, CLIENT_SECRET, identity_provider
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import BrowserSession

COOKIE, PENDING = "segnode-session", "segnode-oidc-login"
PASSWORD = "violet tractor sings quietly"


@dataclass(frozen=True)
class Site:
    """A node and the provider at which people log in to it."""

    node: ServedNode
    issuer: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("node")
    (port,) = free_ports(1)
    # The site of the node is another one than that of the provider: cookies show the difference.
    url = f"http://localhost:{port}"
    secret = folder / "secret"
    secret.write_text(f"{CLIENT_SECRET}\n", encoding="utf-8")
    secret.chmod(0o600)
    with identity_provider(url) as issuer:
        configuration = f"""
[web]
public_url = "{url}"
[access.oidc]
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret_file = "{secret}"
button = "Log in at the hospital"
roles = {{ staff = "operator", everybody = "viewer", it = "administrator" }}
"""
        with served_node(folder, configuration, port=port, login="required") as node:
            now = datetime.now(UTC)
            node.store.add_user("admin", Role.ADMINISTRATOR, now, hash_password(PASSWORD))
            yield Site(node, issuer)


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    """Keeps cookies, as a browser does."""
    with httpx.Client(base_url=site.node.settings.web.public_url) as client:
        yield client


def returned_address(client: httpx.Client, name: str, next_page: str = "/") -> str:
    """Logs in at the provider; returns the address to which it sends the browser back."""
    answer = client.get("/login/oidc", params={"next": next_page})
    node_url = str(client.base_url).rstrip("/")
    prompts = iter(("login", "consent"))
    while True:
        if answer.is_redirect:
            address = str(answer.url.join(answer.headers["Location"]))
            if address.startswith(f"{node_url}/login/oidc/callback"):
                return address
            answer = client.get(address)
            continue
        assert answer.status_code == 200, answer.text
        action = re.search(r'<form[^>]*action="([^"]*)"', answer.text)
        assert action is not None
        form = {"prompt": next(prompts), "login": name, "password": "any"}
        answer = client.post(str(answer.url.join(action[1])), data=form)


def log_in(client: httpx.Client, name: str, next_page: str = "/") -> httpx.Response:
    return client.get(returned_address(client, name, next_page))


def test_a_person_logs_in_and_out_in_a_browser(site: Site, page: Page) -> None:
    url = site.node.settings.web.public_url
    page.goto(f"{url}/queues")
    page.get_by_role("link", name="Log in at the hospital").click()
    page.locator("input[name=login]").fill("staff.jdoe")
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # the provider asks for consent
    page.wait_for_url(f"{url}/queues")
    expect(page.get_by_text("sso:staff.jdoe")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(f"{site.issuer}/**")
    page.locator("button[name=logout]").first.click()
    page.wait_for_url(f"{url}/login**")
    page.goto(f"{url}/queues")
    expect(page.get_by_role("link", name="Log in at the hospital")).to_be_visible()


def test_the_session_is_like_that_of_every_other_user(site: Site, client: httpx.Client) -> None:
    answer = log_in(client, "staff.session", "/queues?tab=open")
    assert 'url=/queues?tab=open"' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    cookies = answer.headers.get_list("Set-Cookie")
    session = next(each for each in cookies if each.startswith(f"{COOKIE}="))
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=strict", session)
    assert client.get("/api/series").status_code == 200
    pause = "/queues/inference/pause"
    assert client.post(pause).status_code == 403, "without the token of its forms"
    token = {"csrf": BrowserSession(client.cookies[COOKIE]).token}
    assert client.post(pause, data=token).status_code == 303
    assert client.post("/queues/inference/resume", data=token).status_code == 303
    assert client.get("/users").status_code == 403
    assert client.get("/account").status_code == 403, "the provider has the password"
    stolen = client.cookies[COOKIE]
    left = client.post("/logout", data=token)
    assert f"{site.issuer}/session/end?client_id=segnode" in left.text
    headers = {"Cookie": f"{COOKIE}={stolen}"}
    assert httpx.get(f"{client.base_url}/api/series", headers=headers).status_code == 401


def test_the_highest_role_of_the_groups_counts_at_each_login(
    site: Site, client: httpx.Client
) -> None:
    log_in(client, "it.boss")
    assert client.get("/users").status_code == 200
    assert site.node.store.get_user("sso:it.boss").role is Role.ADMINISTRATOR
    with httpx.Client(base_url=client.base_url) as other:
        log_in(other, "other.person")
    assert site.node.store.get_user("sso:other.person").role is Role.VIEWER


def test_a_callback_counts_once(client: httpx.Client) -> None:
    address = returned_address(client, "staff.replay")
    pending = {PENDING: client.cookies[PENDING]}
    assert client.get(address).status_code == 200
    assert client.get(address).status_code == 403, "the cookie of the login is gone"
    with httpx.Client(cookies=pending) as thief:
        answer = thief.get(address)
    assert answer.status_code == 403
    assert "identity provider has not logged you in" in answer.text
    assert COOKIE not in answer.cookies


def test_a_callback_counts_only_in_the_browser_that_began(client: httpx.Client) -> None:
    address = returned_address(client, "staff.victim")
    answer = httpx.get(address)
    assert answer.status_code == 403
    assert "did not begin in this browser" in answer.text
    with httpx.Client(base_url=client.base_url) as other:
        other.get("/login/oidc")  # with a login of its own
        assert other.get(address).status_code == 403
        assert other.get("/api/series").status_code == 401


def test_the_session_before_the_login_does_not_become_that_of_the_person(
    client: httpx.Client,
) -> None:
    fixed = "a" * 43
    client.cookies.set(COOKIE, fixed, domain="localhost.local", path="/")
    answer = log_in(client, "staff.fixed")
    assert fixed not in str(answer.headers.get_list("Set-Cookie"))
    headers = {"Cookie": f"{COOKIE}={fixed}"}
    assert httpx.get(f"{client.base_url}/api/series", headers=headers).status_code == 401


def test_a_forged_host_has_no_part_in_the_address_of_the_node(
    site: Site, client: httpx.Client
) -> None:
    answer = client.get("/login/oidc", headers={"Host": "127.0.0.1", "X-Forwarded-Host": "evil"})
    redirect_uri = httpx.URL(answer.headers["Location"]).params["redirect_uri"]
    assert redirect_uri == f"{site.node.settings.web.public_url}/login/oidc/callback"


@pytest.mark.parametrize("address", ["https://attacker.example", "//attacker.example", "/\\evil"])
def test_the_login_leads_to_no_other_site(client: httpx.Client, address: str) -> None:
    assert 'url=/"' in log_in(client, "staff.open", address).text


def test_a_user_whom_the_provider_knows_has_no_password_here(
    site: Site, client: httpx.Client
) -> None:
    store = site.node.store
    with httpx.Client(base_url=client.base_url) as other:
        log_in(other, "staff.local")
        form = {"name": "sso:staff.local", "password": ""}
        assert other.post("/login", data=form).status_code == 422
    log_in(client, "it.boss")
    csrf = {"csrf": BrowserSession(client.cookies[COOKIE]).token}
    for action, more in (("reset", {}), ("role", {"role": "administrator"})):
        answer = client.post(f"/users/sso:staff.local/{action}", data=csrf | more)
        assert answer.status_code == 422
        assert "has no account of this node" in answer.text
    assert store.get_user("sso:staff.local").role is Role.OPERATOR
    assert client.post("/users/sso:staff.local/disable", data=csrf).status_code == 303
    with httpx.Client(base_url=client.base_url) as again:
        answer = log_in(again, "staff.local")
        assert answer.status_code == 403
        assert "is disabled" in answer.text
        assert again.get("/api/series").status_code == 401
