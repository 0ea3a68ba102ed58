"""The pages about logins and users."""

import secrets
from datetime import UTC, datetime

from playwright.sync_api import Page

from node.access.accounts import login_link
from tests.screenshots.access_site import PASSWORD
from tests.screenshots.pages import ShownPage
from tests.support.servers.served_node import ServedNode

_ADMINISTRATOR, _OPERATOR = "a.berger", "j.doe"
_SET_UP, _USERS = ("set-up",), ("users",)


def _login_link(node: ServedNode) -> str:
    return login_link(node.store, _ADMINISTRATOR, datetime.now(UTC))


def _add_a_user(page: Page) -> None:
    page.get_by_label("User name").fill(f"new.user{secrets.token_hex(2)}")
    page.get_by_role("button", name="Add", exact=True).click()


def _add_a_wrong_user(page: Page) -> None:
    page.get_by_label("User name").fill("j.doe")
    page.get_by_role("button", name="Add", exact=True).click()


def _add_a_token(page: Page) -> None:
    page.get_by_label("Name").fill(f"orthanc-{secrets.token_hex(2)}")
    page.get_by_label("send images").check()
    page.get_by_role("button", name="Add", exact=True).click()


def _log_in_wrongly(page: Page) -> None:
    page.get_by_label("User name").fill("j.doe")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()


def _log_in(page: Page) -> None:
    page.get_by_label("User name").fill("j.doe")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


ACCESS_PAGES = (
    ShownPage("set-up", "/set-up", _SET_UP),
    ShownPage("login", "/login", _USERS),
    ShownPage("login-second-factor", "/login", _USERS, _log_in),
    ShownPage("login-mistake", "/login", _USERS, _log_in_wrongly),
    ShownPage("login-without-provider", "/login/oidc", _USERS),
    ShownPage("login-link", _login_link, _USERS),
    ShownPage("set-password", "/set-password?name=m.rossi", _USERS),
    ShownPage("users", "/users", _USERS, user=_ADMINISTRATOR),
    ShownPage("users-mistake", "/users", _USERS, _add_a_wrong_user, _ADMINISTRATOR),
    ShownPage("user-code", "/users", _USERS, _add_a_user, _ADMINISTRATOR),
    ShownPage("tokens", "/tokens", _USERS, user=_ADMINISTRATOR),
    ShownPage("token-created", "/tokens", _USERS, _add_a_token, _ADMINISTRATOR),
    ShownPage("audit-trail", "/audit", _USERS, user=_ADMINISTRATOR),
    ShownPage("audit-trail-search", "/audit?action=login", _USERS, user=_ADMINISTRATOR),
    ShownPage("account", "/account", _USERS, user=_OPERATOR),
    ShownPage("account-second-factor", "/account/second-factor", _USERS, user=_ADMINISTRATOR),
    ShownPage("forbidden", "/users", _USERS, user=_OPERATOR),
)
