"""Login, logout and what attackers try: guessing, fixation, forgery, stolen cookies."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyotp
import pytest
import structlog

from node.access.accounts import login_link
from node.access.first_start import announce_set_up
from node.access.lock_out import FREE_FAILURES_OF_ACCOUNT, FREE_FAILURES_OF_ADDRESS
from node.access.login_records import own_account_record
from node.access.passwords import hash_password
from node.access.secrets import digest_of_identifier
from node.domain.access.permissions import Role
from node.store.audit_trail.chain import ChainedRecord
from tests.support.audit_records import audit_records
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import FACTS, BrowserSession, open_session

COOKIE = "segnode-session"
PASSWORD = "violet tractor sings quietly"
NEW_PASSWORD = "seven paper lanterns at noon"
READY = "/login?ready=account"
ANNOUNCED = "access.no_administrator"
# The tests stand in for a proxy on this machine, too.
PROXY = '[web]\ntrusted_proxies = ["127.0.0.1"]\n'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node"), PROXY, login="required") as node:
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hash_password(PASSWORD))
        yield node


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"user{number}" for number in range(100))


@pytest.fixture(autouse=True)
def _no_failures(node: ServedNode) -> None:
    """The tests share an address; each starts without failed logins."""
    node.store.remove_old_failures(datetime.now(UTC) + timedelta(days=1), timedelta(0))


@pytest.fixture
def user(node: ServedNode, names: Iterator[str]) -> str:
    """The name of a new operator with a password."""
    name = next(names)
    node.store.add_user(name, Role.OPERATOR, datetime.now(UTC), hash_password(PASSWORD))
    return name


@pytest.fixture
def browser(node: ServedNode) -> Iterator[httpx.Client]:
    """Keeps cookies, as a browser does."""
    with httpx.Client(base_url=node.url) as client:
        yield client


def log_in(
    client: httpx.Client, name: str, password: str = PASSWORD, **more: str
) -> httpx.Response:
    return client.post("/login", data={"name": name, "password": password, **more})


def token_of(client: httpx.Client) -> dict[str, str]:
    """The token for the forms of the session."""
    return {"csrf": BrowserSession(client.cookies[COOKIE]).token}


def add_second_factor(node: ServedNode, name: str) -> None:
    secret = pyotp.random_base32()
    node.store.set_totp_secret(name, secret)
    record = own_account_record(name, FACTS, "sets up")
    assert node.store.confirm_second_factor(name, secret, 0, (), record)


def records_about(node: ServedNode, name: str) -> list[ChainedRecord]:
    return [each for each in audit_records(node.store) if ("user", name) in each.objects]


def changes_of(node: ServedNode, name: str) -> list[tuple[str, str]]:
    """Outcome and detail of each change that the user has made to the own account."""
    records = records_about(node, name)
    changed = [each for each in records if each.action == "user changed"]
    assert all(each.actor == name and each.address == "127.0.0.1" for each in changed)
    return [(each.outcome, each.detail) for each in changed]


def is_logged_in(client: httpx.Client) -> bool:
    return client.get("/api/series").status_code == 200


def test_a_login_opens_a_session_and_leads_to_the_wanted_page(
    browser: httpx.Client, user: str
) -> None:
    answer = log_in(browser, f" {user.upper()} ", next="/queues?tab=open")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/queues?tab=open")
    cookie = answer.headers["Set-Cookie"]
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=strict", cookie), (
        "256 bits, for this browser session alone"
    )
    assert is_logged_in(browser)
    page = browser.get("/").text
    assert user in page
    assert "Log out" in page


@pytest.mark.parametrize(
    "address", ["https://attacker.example", "//attacker.example", "/\\attacker.example", "x"]
)
def test_a_login_leads_to_no_other_site(browser: httpx.Client, user: str, address: str) -> None:
    assert log_in(browser, user, next=address).headers["Location"] == "/"
    assert browser.get("/login", params={"next": address}).headers["Location"] == "/"


def test_the_cookie_of_a_site_with_https_is_secure(node: ServedNode, user: str) -> None:
    # As from a proxy on this machine that ends TLS.
    headers = {"X-Forwarded-Proto": "https"}
    with httpx.Client(base_url=node.url, headers=headers) as client:
        cookie = log_in(client, user).headers["Set-Cookie"]
        assert cookie.startswith("__Host-segnode-session=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
        # Without HTTPS, the cookie of HTTPS does not count.
        plain = {"Cookie": cookie.partition(";")[0]}
        assert httpx.get(f"{node.url}/api/series", headers=plain).status_code == 401
        assert client.get("/api/series", headers=plain).status_code == 200


def test_the_answers_for_unknown_disabled_and_wrong_are_the_same(
    node: ServedNode, browser: httpx.Client, user: str, names: Iterator[str]
) -> None:
    unknown, disabled, without = next(names), next(names), next(names)
    node.store.add_user(disabled, Role.VIEWER, datetime.now(UTC), hash_password(PASSWORD))
    node.store.set_disabled(disabled, True)
    node.store.add_user(without, Role.VIEWER, datetime.now(UTC))
    answers = {
        re.sub(r'value="[^"]*"', "", log_in(browser, name, password).text)
        for name, password in (
            (unknown, PASSWORD),
            (disabled, PASSWORD),
            (without, PASSWORD),
            (user, "wrong"),
            (user, ""),
        )
    }
    assert len(answers) == 1
    assert "The user name or the password is wrong" in answers.pop()
    assert COOKIE not in browser.cookies


def test_the_same_work_is_done_for_a_user_who_does_not_exist(
    browser: httpx.Client, user: str, names: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    class Recorder:
        def verify(self, stored: str, _password: str) -> bool:
            verified.append(re.sub(r"\$[^$]*\$[^$]*$", "", stored))
            return True

        def hash(self, password: str) -> str:
            return hash_password(password)

    expected = hash_password(PASSWORD).rpartition("$")[0].rpartition("$")[0]
    monkeypatch.setattr("node.access.passwords._HASHER", Recorder())
    assert log_in(browser, next(names)).status_code == 422
    assert log_in(browser, user).status_code == 303
    assert verified == [expected, expected]


def test_guessing_a_password_takes_longer_and_longer(
    node: ServedNode, user: str, names: Iterator[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slow machine makes the next attempt after the first wait of 2 s.
    monkeypatch.setattr("node.access.lock_out._FIRST_WAIT", timedelta(minutes=5))
    with httpx.Client(base_url=node.url) as client:
        for name in (user, next(names)):  # nobody learns from it whether the user exists
            for _ in range(FREE_FAILURES_OF_ACCOUNT):
                assert "password is wrong" in log_in(client, name, "a wrong password").text
            assert "too many attempts have failed" in log_in(client, name).text.lower()
            with served_again(node) as other:  # the count is not that of a connection
                assert "too many attempts" in log_in(other, name).text.lower()


def served_again(node: ServedNode) -> httpx.Client:
    """A client of the same node from another connection."""
    return httpx.Client(base_url=node.url.replace("127.0.0.1", "localhost"))


def test_a_login_gets_a_new_identifier_and_no_invented_one(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    fixed = "a" * 43
    browser.cookies.set(COOKIE, fixed, domain="127.0.0.1", path="/")
    assert browser.get("/login").status_code == 200
    cookie = log_in(browser, user).headers["Set-Cookie"]
    assert fixed not in cookie
    assert not is_open(node, fixed)
    first = re.search(r"=([\w-]{43});", cookie)
    assert first is not None
    with httpx.Client(base_url=node.url, cookies={COOKIE: first[1]}) as again:
        assert first[1] not in log_in(again, user).headers["Set-Cookie"]
    assert not is_open(node, first[1]), "the earlier session has ended"


def is_open(node: ServedNode, identifier: str) -> bool:
    """Whether a request with this cookie is answered."""
    headers = {"Cookie": f"{COOKIE}={identifier}"}
    return httpx.get(f"{node.url}/api/series", headers=headers).status_code == 200


def test_after_the_logout_a_copy_of_the_cookie_is_worthless(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    log_in(browser, user)
    stolen = browser.cookies[COOKIE]
    answer = browser.post("/logout", data=token_of(browser))
    assert answer.headers["Location"] == "/login"
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert COOKIE not in browser.cookies
    assert not is_open(node, stolen)


def test_the_database_holds_no_identifier(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    log_in(browser, user)
    identifier = browser.cookies[COOKIE].encode()
    files = list(node.settings.data_dir.glob("segnode.db*"))
    assert files
    content = b"".join(file.read_bytes() for file in files)
    assert user.encode() in content
    assert identifier not in content
    assert PASSWORD.encode() not in content


def test_a_form_of_another_page_changes_nothing_in_a_session(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    log_in(browser, user)
    right = token_of(browser)
    for path in ("/queues/inference/pause", "/api/queues/inference/pause"):
        for data in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": browser.cookies[COOKIE]}):
            assert browser.post(path, data=data).status_code == 403
        assert browser.post(path, json={}).status_code == 403
        assert browser.post(path, headers={"X-CSRF-Token": "x"}, data=right).status_code == 403
        foreign = {"Origin": "http://attacker.example"}
        assert browser.post(path, data=right, headers=foreign).status_code == 403
    assert not node.store.is_inference_paused()
    with httpx.Client(base_url=str(browser.base_url)) as other:
        log_in(other, user)
        assert other.post("/queues/inference/pause", data=right).status_code == 403
    assert browser.post("/queues/inference/pause", data=right).status_code == 303
    assert browser.post("/queues/inference/resume", data=right).status_code == 303


def test_every_form_of_the_console_holds_the_token(browser: httpx.Client) -> None:
    log_in(browser, "admin")
    for page in ("/", "/queues", "/users", "/account", "/node", "/overview"):
        text = browser.get(page).text
        forms = re.findall(r'<form[^>]*method="post"[^>]*>(.{0,200})', text, re.DOTALL)
        assert forms
        token = token_of(browser)["csrf"]
        assert all(f'name="csrf" value="{token}"' in form for form in forms), page


def test_a_changed_password_ends_every_other_session(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    log_in(browser, user)
    stolen = browser.cookies[COOKIE]
    form = {"current": PASSWORD, "password": NEW_PASSWORD, "repeated": NEW_PASSWORD}
    wrong = browser.post("/account/password", data=form | {"current": "x"} | token_of(browser))
    assert "current password is wrong" in wrong.text.lower()
    different = form | {"repeated": "x"} | token_of(browser)
    assert "two passwords differ" in browser.post("/account/password", data=different).text.lower()
    weak = form | {"password": user * 4, "repeated": user * 4} | token_of(browser)
    assert "easy to guess" in browser.post("/account/password", data=weak).text
    changed = browser.post("/account/password", data=form | token_of(browser))
    assert changed.status_code == 303
    assert is_logged_in(browser)
    assert not is_open(node, stolen)
    with httpx.Client(base_url=node.url) as other:
        assert log_in(other, user).status_code == 422
        assert log_in(other, user, NEW_PASSWORD).status_code == 303
    assert changes_of(node, user) == [
        ("success", "changes the password"),
        ("minor failure", "password not changed: the current password is wrong"),
    ]


def test_an_administrator_removes_the_second_factor_and_leaves_the_password(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    with open_session(node, "admin").client(node) as admin:
        form = {"second_factor": "on"}
        refused = admin.post(f"/users/{user}/reset", data=form).text
        assert f"The user {user} has no second factor" in refused
        add_second_factor(node, user)
        assert f"the second factor of {user}" in admin.get("/users").text
        assert admin.post(f"/users/{user}/reset", data=form).status_code == 303
    assert not node.store.get_user(user).has_second_factor
    assert log_in(browser, user).status_code == 303
    assert is_logged_in(browser), "the password alone opens a session again"


def test_a_changed_role_and_a_disabled_user_end_the_sessions(node: ServedNode, user: str) -> None:
    with open_session(node, "admin").client(node) as admin:
        for action, data in (("role", {"role": "viewer"}), ("disable", {}), ("end-sessions", {})):
            node.store.set_disabled(user, False)
            session = open_session(node, user)
            assert is_open(node, session.identifier)
            assert admin.post(f"/users/{user}/{action}", data=data).status_code == 303
            assert not is_open(node, session.identifier), action
        assert node.store.get_user(user).role is Role.VIEWER


def test_an_administrator_adds_a_user_who_sets_a_password(
    node: ServedNode, browser: httpx.Client, names: Iterator[str]
) -> None:
    name = next(names)
    with open_session(node, "admin").client(node) as admin:
        answer = admin.post("/users", data={"name": name, "role": "operator"})
        code = re.search(r'id="code">([^<]*)<', answer.text)
        assert code is not None
        assert answer.headers["Cache-Control"] == "no-store"
        assert "already" in admin.post("/users", data={"name": name, "role": "viewer"}).text
        assert "choose a role" in admin.post("/users", data={"name": "x"}).text.lower()
        assert "user name has" in admin.post("/users", data={"name": "a/b", "role": "viewer"}).text
    form = {"name": name, "code": code[1].upper(), "password": PASSWORD, "repeated": PASSWORD}
    wrong = browser.post("/set-password", data=form | {"code": "abcde"})
    assert "the code is wrong" in wrong.text
    other_user = browser.post("/set-password", data=form | {"name": "admin"})
    assert "the code is wrong" in other_user.text
    assert browser.post("/set-password", data=form).headers["Location"] == READY
    assert "was used" in browser.post("/set-password", data=form).text
    assert log_in(browser, name).status_code == 303


def test_the_last_administrator_stays(node: ServedNode) -> None:
    with open_session(node, "admin").client(node) as admin:
        for action, data in (("role", {"role": "viewer"}), ("disable", {})):
            answer = admin.post(f"/users/admin/{action}", data=data)
            assert "The user admin is the only administrator" in answer.text
    assert node.store.get_user("admin").role is Role.ADMINISTRATOR


def test_a_second_factor_is_set_up_and_then_needed(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    log_in(browser, user)
    page = browser.get("/account/second-factor").text
    secret = re.search(r'id="secret">(\w+)<', page)
    assert secret is not None
    assert "<svg" in page
    app = pyotp.TOTP(secret[1])
    code = app.now()
    form = {"code": code, "current": PASSWORD}
    for wrong, mistake in (
        ({"code": "000000"}, "code is wrong"),
        ({"current": "a"}, "password is"),
    ):
        answer = browser.post("/account/second-factor", data=form | wrong | token_of(browser))
        assert mistake in answer.text
    answer = browser.post("/account/second-factor", data=form | token_of(browser))
    codes = re.findall(r'<li class="uid">([^<]*)<', answer.text)
    assert len(codes) == 10
    with httpx.Client(base_url=node.url) as other:
        answer = log_in(other, user, next="/queues")
        assert answer.headers["Location"] == "/login/second-factor?next=%2Fqueues"
        assert not is_logged_in(other), "the password alone opens nothing"
        half = other.cookies[COOKIE]
        page = other.get("/login/second-factor").text
        assert secret[1] not in page
        again = other.post("/login/second-factor", data={"code": code})
        assert "was used already" in again.text, "each code counts once"
        answer = other.post("/login/second-factor", data={"code": codes[0], "next": "/queues"})
        assert answer.headers["Location"] == "/queues"
        assert is_logged_in(other)
        assert not is_open(node, half)
    with httpx.Client(base_url=node.url) as third:
        log_in(third, user)
        assert third.post("/login/second-factor", data={"code": codes[0]}).status_code == 422
    removed = browser.post(
        "/account/second-factor/remove", data={"current": PASSWORD} | token_of(browser)
    )
    assert removed.status_code == 303
    assert not node.store.get_user(user).has_second_factor
    assert changes_of(node, user) == [
        ("success", "removes the second factor"),
        ("success", "sets up the second factor, with 10 recovery codes"),
        ("minor failure", "second factor not set up: the current password is wrong"),
        ("minor failure", "second factor not set up: the code is wrong"),
    ]
    logins = [each.detail for each in records_about(node, user) if each.action == "login"]
    assert "with a recovery code; 9 are left" in logins


def test_codes_of_the_second_factor_cannot_be_guessed(
    node: ServedNode, browser: httpx.Client, user: str
) -> None:
    add_second_factor(node, user)
    answers = []
    for _ in range(FREE_FAILURES_OF_ACCOUNT):
        log_in(browser, user)
        answers.append(browser.post("/login/second-factor", data={"code": "1"}).text)
    assert any("Too many attempts" in answer for answer in answers)


def test_a_site_can_require_a_second_factor(tmp_path: Path) -> None:
    with (
        served_node(tmp_path, '[access]\ntotp = "required"\n', login="required") as node,
        httpx.Client(base_url=node.url) as client,
    ):
        node.store.add_user("admin", Role.ADMINISTRATOR, datetime.now(UTC), hash_password(PASSWORD))
        log_in(client, "admin")
        assert not is_logged_in(client)
        secret = re.search(r'id="secret">(\w+)<', client.get("/login/second-factor").text)
        assert secret is not None
        data = {"code": pyotp.TOTP(secret[1]).now(), "next": "/queues"}
        answer = client.post("/login/second-factor", data=data)
        assert 'href="/queues"' in answer.text
        assert is_logged_in(client)
        form = {"current": PASSWORD} | token_of(client)
        answer = client.post("/account/second-factor/remove", data=form)
        assert "requires a second factor" in answer.text


def test_many_failures_from_one_address_block_it(node: ServedNode, user: str) -> None:
    headers = {"X-Forwarded-For": "192.0.2.7"}
    with httpx.Client(base_url=node.url, headers=headers) as attacker:
        for number in range(FREE_FAILURES_OF_ADDRESS):
            assert "password is wrong" in log_in(attacker, f"guess{number}", "x").text
        assert "Too many attempts" in log_in(attacker, user).text
    with httpx.Client(base_url=node.url) as other:
        assert log_in(other, user).status_code == 303


def test_a_login_link_counts_once_and_on_this_machine(node: ServedNode, user: str) -> None:
    code = login_link(node.store, user, datetime.now(UTC)).partition("code=")[2]
    with httpx.Client(base_url=node.url) as client:
        assert client.get("/login/link", params={"code": code}).status_code == 200
        elsewhere = {"X-Forwarded-For": "192.0.2.1"}
        answer = client.post("/login/link", data={"code": code}, headers=elsewhere)
        assert "on the machine of the node" in answer.text
        assert client.post("/login/link", data={"code": f"admin:{code}"}).status_code == 422
        assert not is_logged_in(client)
        assert client.post("/login/link", data={"code": code}).status_code == 303
        assert is_logged_in(client)
        assert client.post("/login/link", data={"code": code}).status_code == 422


def test_the_first_administrator_needs_the_code_in_the_log(tmp_path: Path) -> None:
    outside = {"X-Forwarded-For": "192.0.2.1"}
    form = {"name": "first", "password": PASSWORD, "repeated": PASSWORD}
    with (
        served_node(tmp_path, login="required") as node,
        httpx.Client(base_url=node.url) as client,
        structlog.testing.capture_logs() as lines,
    ):
        for path in (
            "/",
            "/login",
            "/set-up",
            "/api/series",
            "/static/console.css",
            "/favicon.ico",
        ):
            assert client.get(path, headers=outside).status_code == 403
        assert "no administrator yet" in client.get("/api/series", headers=outside).text
        for path in ("/health/live", "/health/ready", "/health"):
            assert client.get(path, headers=outside).status_code in {200, 503}
        assert client.get("/login").headers["Location"] == "/set-up"
        icon = client.get("/favicon.ico", follow_redirects=True)
        assert icon.headers["Content-Type"] == "image/svg+xml"
        announce_set_up(node.store)
        announce_set_up(node.store)
        earlier, code = (line["code"] for line in lines if line["event"] == ANNOUNCED)
        for wrong in ("", "x", earlier):
            answer = client.post("/set-up", data=form | {"code": wrong})
            assert "The code is wrong" in answer.text
        assert (
            client.post("/set-up", data=form | {"code": code}, headers=outside).status_code == 403
        )
        wrong_all = {"code": "x", "name": "a b", "password": "x" * 12, "repeated": "other"}
        page = client.post("/set-up", data=wrong_all).text
        for mistake in (
            "The code is wrong",
            "A user name has up to 63 letters",
            "The two passwords differ",
            "The password is easy to guess",
        ):
            assert mistake in page, "all mistakes are listed at once"
        for _ in range(2 * FREE_FAILURES_OF_ACCOUNT):
            answer = client.post("/set-up", data=form | {"code": code, "repeated": "other"})
            assert "Too many attempts" not in answer.text, "a typing error is no guess"
        assert client.post("/set-up", data=form | {"code": code}).headers["Location"] == READY
        again = client.post("/set-up", data=form | {"code": code, "name": "second"})
        assert "there is an administrator already" in again.text.lower()
        assert client.get("/login", headers=outside).status_code == 200
        assert log_in(client, "first").status_code == 303
        announce_set_up(node.store)
        assert len([line for line in lines if line["event"] == "access.no_administrator"]) == 2


def test_an_event_stream_ends_with_its_session(node: ServedNode, user: str) -> None:
    node.streams.access_period_s = 0.0
    with open_session(node, user).client(node) as client:
        with client.stream("GET", "/events/overview") as stream:
            lines = stream.iter_lines()
            assert any(line.startswith("event: overview") for line in lines)
            node.store.remove_sessions_of(user)
            assert list(lines)[-1] == "", "the stream ends"
        assert client.get("/events/overview").status_code == 401


def test_what_all_streams_share_names_no_session(node: ServedNode, user: str) -> None:
    node.streams.period_s = 0.0
    node.streams.access_period_s = 0.0
    session = open_session(node, user)
    with session.client(node) as client, client.stream("GET", "/events/overview") as stream:
        lines = stream.iter_lines()
        shown = [next(lines)]
        while not shown[-1].startswith("event: overview"):
            shown.append(next(lines))
        node.store.remove_sessions_of(user)
        shown += lines
    assert not any(session.token in line for line in shown)


def test_only_people_keep_a_session_alive(node: ServedNode, user: str) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    session = open_session(node, user, before)
    with session.client(node) as client:
        client.get("/fragments/overview").raise_for_status()
        assert last_use(node, session) == before
        client.get("/overview").raise_for_status()
        assert last_use(node, session) > before


def last_use(node: ServedNode, session: BrowserSession) -> datetime:
    found = node.store.get_session(digest_of_identifier(session.identifier))
    assert found is not None
    return found.last_used_at


def test_every_link_of_the_navigation_is_for_the_role_that_sees_it(
    node: ServedNode, names: Iterator[str]
) -> None:
    for role in Role:
        name = next(names)
        node.store.add_user(name, role, datetime.now(UTC))
        with open_session(node, name).client(node) as client:
            start = client.get("/node").text
            navigation = "".join(re.findall(r"<nav .*?</nav>", start, re.DOTALL))
            links = re.findall(r'href="([^"]*)"', navigation)
            assert len(links) >= 8
            assert {client.get(link).status_code for link in links} == {200}, role
