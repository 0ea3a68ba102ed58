"""Routes for those who have a one-time code: the first administrator, and new passwords."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.access.first_start import NewAccount, set_up
from node.access.passwords import DIFFERENT_PASSWORDS, MIN_LENGTH
from node.domain.access.users import AccountError
from node.web.access_control import access_control_of
from node.web.console.access.answers import Facts, SiteLogin, access_page, see_other
from node.web.dependencies import PostedForm
from node.web.next_page import ACCOUNT_READY, LOGIN_PATH

ROUTER = APIRouter(include_in_schema=False)


@ROUTER.get("/set-up")
def set_up_page(request: Request) -> Response:
    """Asks for the code in the log and for the account of the first administrator."""
    if access_control_of(request.app).is_set_up():
        return see_other(LOGIN_PATH)
    return access_page(request, "set_up.html", user_name="", min_length=MIN_LENGTH)


@ROUTER.post("/set-up")
def create_administrator(
    request: Request, login: SiteLogin, facts: Facts, form: PostedForm
) -> Response:
    """Creates the first administrator, who then logs in."""
    name = form.get("name", "")
    account = NewAccount(name, form.get("password", ""), form.get("repeated", ""))
    try:
        set_up(login.store, form.get("code", ""), account, facts)
    except AccountError as error:
        return access_page(
            request, "set_up.html", mistake=str(error), user_name=name, min_length=MIN_LENGTH
        )
    return see_other(ACCOUNT_READY)


@ROUTER.get("/set-password")
def set_password_page(request: Request, name: str = "") -> Response:
    """Asks for the one-time code of a user and for a new password."""
    return access_page(request, "set_password.html", user_name=name, min_length=MIN_LENGTH)


@ROUTER.post("/set-password")
def set_password(request: Request, login: SiteLogin, facts: Facts, form: PostedForm) -> Response:
    """Sets the password of the user, who then logs in."""
    name = form.get("name", "")
    try:
        login.set_password(name, form.get("code", ""), password_in(form), facts)
    except AccountError as error:
        return access_page(
            request, "set_password.html", mistake=str(error), user_name=name, min_length=MIN_LENGTH
        )
    return see_other(ACCOUNT_READY)


def password_in(form: PostedForm) -> str:
    """Returns the new password, which the form holds twice.

    Raises:
        AccountError: the two differ.
    """
    password = form.get("password", "")
    if password != form.get("repeated", ""):
        raise AccountError(DIFFERENT_PASSWORDS)
    return password
