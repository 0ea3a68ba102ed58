"""Routes of the page of users, for administrators."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from node.access.accounts import PASSWORD_CODE_VALID, Accounts
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError
from node.settings import Settings
from node.web.acting_user import CurrentUser
from node.web.audit.recording import audit_address, audit_interface
from node.web.console.access.answers import access_page, see_other
from node.web.dependencies import Now, PostedForm, SiteSettings, SiteStore

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/users"


@dataclass(frozen=True)
class UsersPage:
    """The page of users, and what changes them for the sender of the request."""

    request: Request
    settings: Settings
    accounts: Accounts
    now: datetime

    def show(self, mistake: str = "") -> Response:
        """Returns the page; with a mistake, nothing has changed."""
        store = self.accounts.store
        used_since = self.now - timedelta(minutes=self.settings.access.idle_minutes)
        return access_page(
            self.request,
            "users.html",
            mistake=mistake,
            users=store.list_users(),
            sessions=store.session_counts(used_since),
            roles=tuple(Role),
            login=self.settings.access.login,
        )

    def after(self, change: Callable[[], None]) -> Response:
        """Changes a user and returns to the page, or shows why that is not possible."""
        try:
            change()
        except AccountError as error:
            return self.show(str(error))
        return see_other(_PATH)

    def show_code(self, name: str, new_code: Callable[[], str]) -> Response:
        """Shows the new one-time code of a user, or why that is not possible."""
        try:
            code = new_code()
        except AccountError as error:
            return self.show(str(error))
        hours = round(PASSWORD_CODE_VALID.total_seconds() / 3600)
        return access_page(
            self.request, "user_code.html", user_name=name.strip(), code=code, hours=hours
        )


def _page(
    request: Request, settings: SiteSettings, store: SiteStore, user: CurrentUser, now: Now
) -> UsersPage:
    interface, address = audit_interface(request), audit_address(request)
    return UsersPage(request, settings, Accounts(store, user.named(), interface, address), now)


Page = Annotated[UsersPage, Depends(_page)]


@ROUTER.get(_PATH)
def users_page(page: Page) -> Response:
    """Shows the users with their roles and sessions."""
    return page.show()


@ROUTER.post(_PATH)
def add_user(page: Page, form: PostedForm) -> Response:
    """Adds a user; shows the one-time code for the password."""
    name = form.get("name", "")
    return page.show_code(name, lambda: page.accounts.add(name, _role_in(form), page.now))


@ROUTER.post("/users/{name}/role")
def change_role(page: Page, name: str, form: PostedForm) -> Response:
    """Changes the role of a user."""
    return page.after(lambda: page.accounts.change_role(name, _role_in(form), page.now))


@ROUTER.post("/users/{name}/disable")
def disable_user(page: Page, name: str) -> Response:
    """Disables a user."""
    return page.after(lambda: page.accounts.disable(name, page.now))


@ROUTER.post("/users/{name}/enable")
def enable_user(page: Page, name: str) -> Response:
    """Enables a user."""
    return page.after(lambda: page.accounts.enable(name, page.now))


@ROUTER.post("/users/{name}/end-sessions")
def end_sessions(page: Page, name: str) -> Response:
    """Ends every session of a user."""
    return page.after(lambda: page.accounts.end_sessions(name, page.now))


@ROUTER.post("/users/{name}/reset")
def reset_user(page: Page, name: str, form: PostedForm) -> Response:
    """Removes the password of a user, or with `second_factor` the second factor instead."""
    if "second_factor" in form:
        return page.after(lambda: page.accounts.remove_second_factor(name, page.now))
    return page.show_code(name, lambda: page.accounts.reset_password(name, page.now))


def _role_in(form: PostedForm) -> Role:
    """Returns the role in a form.

    Raises:
        AccountError: there is no such role.
    """
    try:
        return Role(form.get("role", ""))
    except ValueError as error:
        raise AccountError("choose a role for the user") from error
