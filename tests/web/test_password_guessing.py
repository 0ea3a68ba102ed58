"""Guessing a secret of a person: every way that takes one slows down; all ways count together."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from node.access.lock_out import FREE_FAILURES_OF_ACCOUNT
from node.access.login_records import own_account_record
from node.access.passwords import hash_password
from node.access.secrets import digest_of_code
from node.domain.access.permissions import Role
from node.domain.access.users import CodePurpose
from node.web.permissions import PUBLIC_ROUTES, ROUTE_PERMISSIONS, Route
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import FACTS, BrowserSession, open_session

COOKIE = "segnode-session"
PASSWORD = "violet tractor sings quietly"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
RECOVERY_CODE = "aaaaa-bbbbb-ccccc-ddddd"
Way = Callable[[ServedNode, httpx.Client, str, str], httpx.Response]
PROTECTED = ("/api/series", "/dicom-web/studies", "/overview")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node"), login="required") as node:
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hash_password(PASSWORD))
        yield node


@pytest.fixture(autouse=True)
def _no_failures(node: ServedNode) -> None:
    """The tests share an address; each starts without failed logins."""
    node.store.remove_old_failures(datetime.now(UTC) + timedelta(days=1), timedelta(0))


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"user{number}" for number in range(100))


@pytest.fixture
def user(node: ServedNode, names: Iterator[str]) -> str:
    """The name of a new user with a password, a second factor, and codes to set a password."""
    name = next(names)
    store = node.store
    store.add_user(name, Role.OPERATOR, datetime.now(UTC), hash_password(PASSWORD))
    for purpose in (CodePurpose.PASSWORD, CodePurpose.LOGIN):
        store.replace_code(purpose, digest_of_code(right_code(purpose, name)), user_name=name)
    return name


def right_code(purpose: CodePurpose, user: str) -> str:
    return f"{purpose} {user}"


@pytest.fixture
def client(node: ServedNode) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=node.url) as client:
        yield client


def by_form(_node: ServedNode, client: httpx.Client, user: str, secret: str) -> httpx.Response:
    return client.post("/login", data={"name": user, "password": secret})


def by_second_factor(
    node: ServedNode, client: httpx.Client, user: str, secret: str
) -> httpx.Response:
    """Guesses a code, of the app or for recovery, after the right password."""
    if not node.store.get_user(user).has_second_factor:
        node.store.set_totp_secret(user, TOTP_SECRET)
        codes = [digest_of_code(RECOVERY_CODE)]
        record = own_account_record(user, FACTS, "sets up")
        node.store.confirm_second_factor(user, TOTP_SECRET, 0, codes, record)
    if COOKIE not in client.cookies:
        client.post("/login", data={"name": user, "password": PASSWORD})
    code = RECOVERY_CODE if secret == PASSWORD else secret
    return client.post("/login/second-factor", data={"code": code})


def by_link(_node: ServedNode, client: httpx.Client, user: str, secret: str) -> httpx.Response:
    code = right_code(CodePurpose.LOGIN, user) if secret == PASSWORD else secret
    return client.post("/login/link", data={"code": f"{user}:{code}"})


def by_one_time_code(
    _node: ServedNode, client: httpx.Client, user: str, secret: str
) -> httpx.Response:
    code = right_code(CodePurpose.PASSWORD, user) if secret == PASSWORD else secret
    form = {"name": user, "code": code, "password": PASSWORD, "repeated": PASSWORD}
    return client.post("/set-password", data=form)


def by_set_up(_node: ServedNode, client: httpx.Client, user: str, secret: str) -> httpx.Response:
    form = {"name": user, "code": secret, "password": PASSWORD, "repeated": PASSWORD}
    return client.post("/set-up", data=form)


def in_session(path: str) -> Way:
    """Guesses the password in a session that somebody has left open."""

    def guess(node: ServedNode, client: httpx.Client, user: str, secret: str) -> httpx.Response:
        session = open_session(node, user)
        new = "seven paper lanterns at noon"
        form = {"current": secret, "password": new, "repeated": new, "csrf": session.token}
        return httpx.post(node.url + path, data=form, cookies=dict(session.cookies))

    return guess


# Every form that takes a secret; None where there is none to guess: the page shows it, or the form
# only ends the session.
WAYS: Mapping[Route, Way | None] = {
    ("POST", "/login"): by_form,
    ("POST", "/login/second-factor"): by_second_factor,
    ("POST", "/login/link"): by_link,
    ("POST", "/set-password"): by_one_time_code,
    ("POST", "/set-up"): by_set_up,
    ("POST", "/account/password"): in_session("/account/password"),
    ("POST", "/account/second-factor/remove"): in_session("/account/second-factor/remove"),
    ("POST", "/account/second-factor"): in_session("/account/second-factor"),
}


def test_every_form_about_logins_has_a_decision() -> None:
    own = {route for route in ROUTE_PERMISSIONS if route[1].startswith("/account")}
    assert set(WAYS) == {route for route in PUBLIC_ROUTES | own if route[0] == "POST"}


@pytest.mark.parametrize(
    "way", [each for each in WAYS.values() if each], ids=[p for (_, p), w in WAYS.items() if w]
)
def test_guessing_is_slowed_down_and_the_right_secret_waits_too(
    node: ServedNode,
    client: httpx.Client,
    user: str,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A slow machine makes the next attempt after the first wait of 2 s.
    monkeypatch.setattr("node.access.lock_out._FIRST_WAIT", timedelta(minutes=5))
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        answer = way(node, client, user, "a wrong guess")
        assert answer.status_code != 303
    answer = way(node, client, user, PASSWORD)
    assert "oo many attempts" in answer.text
    if way is not by_set_up:  # which belongs to no user
        with httpx.Client(base_url=node.url) as other:
            assert "oo many attempts" in by_form(node, other, user, PASSWORD).text


@pytest.mark.parametrize("path", PROTECTED)
def test_http_basic_takes_no_password_and_tells_none_apart(
    node: ServedNode, user: str, path: str
) -> None:
    """Programs have tokens, of 256 bits; there is no way around the lock-out of the form."""
    right, wrong = (
        httpx.get(node.url + path, auth=(user, secret)) for secret in (PASSWORD, "a wrong guess")
    )
    assert right.status_code in {401, 303}
    assert (right.status_code, right.text) == (wrong.status_code, wrong.text)
    for secret in ("segnode_" + "a" * 43, PASSWORD):
        bearer = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(node.url + path, headers=bearer).status_code in {401, 303}
    by_form_afterwards = httpx.post(f"{node.url}/login", data={"name": user, "password": PASSWORD})
    assert by_form_afterwards.status_code == 303, "these requests are no attempts of the user"


def test_a_session_that_was_guessed_at_stays_and_its_user_is_not_locked_out_of_it(
    node: ServedNode, user: str
) -> None:
    session = open_session(node, user)
    for _ in range(2 * FREE_FAILURES_OF_ACCOUNT):
        httpx.post(f"{node.url}/login", data={"name": user, "password": "a wrong guess"})
    with BrowserSession(session.identifier).client(node) as client:
        assert client.get("/api/series").status_code == 200
