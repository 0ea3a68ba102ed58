"""Routes of the own account: password and second factor."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.access.passwords import MIN_LENGTH
from node.domain.access.users import AccountError, Credentials
from node.web.console.access.answers import (
    Facts,
    OwnCredentials,
    SiteLogin,
    access_page,
    see_other,
    with_cookie,
)
from node.web.console.access.set_up_routes import password_in
from node.web.dependencies import PostedForm

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/account"
_SECOND_FACTOR = "/account/second-factor"


@ROUTER.get(_PATH)
def account_page(request: Request, login: SiteLogin, own: OwnCredentials) -> Response:
    """Shows the account of the user who has logged in."""
    return _account_page(request, login, own)


@ROUTER.post("/account/password")
def change_password(
    request: Request, login: SiteLogin, own: OwnCredentials, facts: Facts, form: PostedForm
) -> Response:
    """Changes the password; all other sessions end, and this one gets a new identifier."""
    try:
        password = password_in(form)
        opened = login.change_password(own, form.get("current", ""), password, facts)
    except AccountError as error:
        return _account_page(request, login, own, str(error))
    return with_cookie(see_other(_PATH), opened, facts)


@ROUTER.get(_SECOND_FACTOR)
def enrolment_page(request: Request, login: SiteLogin, own: OwnCredentials) -> Response:
    """Shows the secret of a new second factor."""
    if own.user.has_second_factor:
        return see_other(_PATH)
    return _enrolment_page(request, login, own)


@ROUTER.post(_SECOND_FACTOR)
def confirm_enrolment(
    request: Request, login: SiteLogin, own: OwnCredentials, facts: Facts, form: PostedForm
) -> Response:
    """Confirms the second factor, for those who know the password; shows recovery codes once."""
    code = form.get("code", "")
    try:
        codes = login.set_up_second_factor(own, form.get("current", ""), code, facts)
    except AccountError as error:
        return _enrolment_page(request, login, own, str(error))
    return access_page(request, "recovery_codes.html", codes=codes, next_page=_PATH)


@ROUTER.post("/account/second-factor/remove")
def remove_second_factor(
    request: Request, login: SiteLogin, own: OwnCredentials, facts: Facts, form: PostedForm
) -> Response:
    """Removes the second factor, for those who know the password."""
    try:
        opened = login.remove_second_factor(own, form.get("current", ""), facts)
    except AccountError as error:
        return _account_page(request, login, own, str(error))
    return with_cookie(see_other(_PATH), opened, facts)


def _account_page(
    request: Request, login: SiteLogin, own: Credentials, mistake: str = ""
) -> Response:
    return access_page(
        request,
        "account.html",
        mistake=mistake,
        user=own.user,
        recovery_codes=login.store.count_recovery_codes(own.user.name),
        needs_second_factor=login.options.totp == "required",
        min_length=MIN_LENGTH,
    )


def _enrolment_page(
    request: Request, login: SiteLogin, own: Credentials, mistake: str = ""
) -> Response:
    enrolment = login.second_factor.begin_enrolment(own.user.name)
    return access_page(
        request,
        "enrol.html",
        mistake=mistake,
        enrolment=enrolment,
        next_page=_PATH,
        action=_SECOND_FACTOR,
        asks_password=True,
    )
