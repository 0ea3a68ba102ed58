"""The pages about logins and users."""

import secrets
from datetime import UTC, datetime

from playwright.sync_api import Page

from node.access.accounts import login_link
from tests.screenshots.access_site import PASSWORD
from tests.screenshots.pages import ShownPage, at
from tests.support.servers.served_node import ServedNode

_SET_UP, _USERS = ("set-up",), ("users",)


def _link_of(name: str, node: ServedNode) -> str:
    return login_link(node.store, name, datetime.now(UTC))


def _as_administrator(node: ServedNode) -> str:
    return _link_of("a.berger", node)


def _as_operator(node: ServedNode) -> str:
    return _link_of("j.doe", node)


def _open(page: Page, path: str) -> None:
    page.get_by_role("button", name="Open the console").click()
    page.goto(page.url.rpartition("/")[0] + path)


def _open_users(page: Page) -> None:
    _open(page, "/users")


def _add_a_user(page: Page) -> None:
    _open_users(page)
    page.get_by_label("User name").fill(f"new.user{secrets.token_hex(2)}")
    page.get_by_role("button", name="Add", exact=True).click()


def _add_a_wrong_user(page: Page) -> None:
    _open_users(page)
    page.get_by_label("User name").fill("j.doe")
    page.get_by_role("button", name="Add", exact=True).click()


def _open_account(page: Page) -> None:
    _open(page, "/account")


def _open_enrolment(page: Page) -> None:
    _open(page, "/account/second-factor")


def _open_forbidden(page: Page) -> None:
    _open(page, "/users")


def _log_in_wrongly(page: Page) -> None:
    page.get_by_label("User name").fill("j.doe")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()


def _log_in(page: Page) -> None:
    page.get_by_label("User name").fill("j.doe")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


ACCESS_PAGES = (
    ShownPage("set-up", at("/set-up"), _SET_UP),
    ShownPage("login", at("/login"), _USERS),
    ShownPage("login-second-factor", at("/login"), _USERS, _log_in),
    ShownPage("login-mistake", at("/login"), _USERS, _log_in_wrongly),
    ShownPage("login-link", _as_administrator, _USERS),
    ShownPage("set-password", at("/set-password?name=m.rossi"), _USERS),
    ShownPage("users", _as_administrator, _USERS, _open_users),
    ShownPage("users-mistake", _as_administrator, _USERS, _add_a_wrong_user),
    ShownPage("user-code", _as_administrator, _USERS, _add_a_user),
    ShownPage("account", _as_operator, _USERS, _open_account),
    ShownPage("account-second-factor", _as_administrator, _USERS, _open_enrolment),
    ShownPage("forbidden", _as_operator, _USERS, _open_forbidden),
)
