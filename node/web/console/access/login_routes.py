"""Routes of login, second factor, login link and logout."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from node.access.login import Login
from node.access.oidc.oidc_login import OidcLogin, unavailable_text
from node.access.oidc.provider import ProviderUnavailable
from node.access.second_factor import SecondFactor
from node.domain.access.external_users import is_external
from node.domain.access.identities import Identity
from node.domain.access.users import AccountError, Session, SessionStage
from node.web.access_control import access_control_of
from node.web.console.access.answers import (
    Facts,
    SiteLogin,
    access_page,
    login_form,
    see_other,
    with_cookie,
    without_cookie,
)
from node.web.console.access.oidc_routes import OptionalOidcLogin
from node.web.dependencies import PostedForm, identity_of
from node.web.next_page import LOGIN_PATH, continue_page, safe_page

ROUTER = APIRouter(include_in_schema=False)
_SECOND_FACTOR = "/login/second-factor"
NextPage = Annotated[str, Query(alias="next")]


@ROUTER.get(LOGIN_PATH)
def login_page(
    request: Request,
    login: SiteLogin,
    next_page: NextPage = "",
    ready: Literal["account"] | None = None,
) -> Response:
    """Shows the form; leads to the set-up before the first administrator, and past a session."""
    if login.options.login == "none":
        return see_other("/")
    control, wanted = access_control_of(request.app), safe_page(next_page)
    if not control.is_set_up():
        return see_other("/set-up")
    if isinstance(control.sender_of(request), Identity):
        return see_other(wanted)
    return login_form(request, login.options, next_page=wanted, is_ready=ready is not None)


@ROUTER.post(LOGIN_PATH)
def log_in(request: Request, login: SiteLogin, facts: Facts, form: PostedForm) -> Response:
    """Checks name and password; opens a session or asks for the second factor."""
    name, next_page = form.get("name", ""), safe_page(form.get("next", ""))
    try:
        opened = login.by_password(name, form.get("password", ""), facts)
    except AccountError as error:
        mistake = str(error)
        return login_form(
            request, login.options, mistake=mistake, next_page=next_page, user_name=name
        )
    if opened.stage is SessionStage.OPEN:
        return with_cookie(see_other(next_page), opened, facts)
    address = f"{_SECOND_FACTOR}?{urlencode({'next': next_page})}"
    return with_cookie(see_other(address), opened, facts)


@ROUTER.get(_SECOND_FACTOR)
def second_factor_page(
    request: Request, login: SiteLogin, facts: Facts, next_page: NextPage = ""
) -> Response:
    """Asks for the code of the second factor, or shows how to set one up."""
    session = login.sessions.find(facts)
    if session is None or session.stage is SessionStage.OPEN:
        return see_other(LOGIN_PATH)
    return _second_factor_page(request, login.second_factor, session, safe_page(next_page))


@ROUTER.post(_SECOND_FACTOR)
def check_second_factor(
    request: Request, login: SiteLogin, facts: Facts, form: PostedForm
) -> Response:
    """Opens the session after the right code."""
    session = login.sessions.find(facts)
    if session is None or session.stage is SessionStage.OPEN:
        return see_other(LOGIN_PATH)
    next_page, code = safe_page(form.get("next", "")), form.get("code", "")
    try:
        if session.stage is SessionStage.SECOND_FACTOR:
            opened = login.by_second_factor(session, code, facts)
            return with_cookie(see_other(next_page), opened, facts)
        opened, codes = login.by_enrolment(session, code, facts)
    except AccountError as error:
        factor = login.second_factor
        return _second_factor_page(request, factor, session, next_page, str(error))
    shown = access_page(request, "recovery_codes.html", codes=codes, next_page=next_page)
    return with_cookie(shown, opened, facts)


@ROUTER.get("/login/link")
def login_link_page(request: Request, code: str = "") -> Response:
    """Asks to continue: a program that only looks at a link must not use it up."""
    return access_page(request, "link.html", code=code)


@ROUTER.post("/login/link")
def log_in_by_link(request: Request, login: SiteLogin, facts: Facts, form: PostedForm) -> Response:
    """Opens the session of a login link."""
    try:
        opened = login.by_link(form.get("code", ""), facts)
    except AccountError as error:
        return access_page(request, "link.html", mistake=str(error), code="")
    return with_cookie(see_other("/overview"), opened, facts)


@ROUTER.post("/logout")
def log_out(
    request: Request, login: SiteLogin, provider: OptionalOidcLogin, facts: Facts
) -> Response:
    """Ends the session; of a person who has logged in elsewhere, also the login there."""
    login.sessions.end(facts)
    address = ""
    if is_external(identity_of(request).name):
        address = _logout_elsewhere(login, provider)
    # A form may lead to no other site (Content-Security-Policy).
    response = continue_page(address) if address else see_other(LOGIN_PATH)
    return without_cookie(response, facts)


def _logout_elsewhere(login: Login, provider: OidcLogin | None) -> str:
    """Returns where provider or proxy ends its login; empty if it has no such address."""
    proxy = login.options.proxy
    if proxy is not None:
        return proxy.sign_out_address or ""
    try:
        return "" if provider is None else provider.logout_address(LOGIN_PATH)
    except ProviderUnavailable as error:
        unavailable_text(error)
        return ""


def _second_factor_page(
    request: Request,
    second_factor: SecondFactor,
    session: Session,
    next_page: str,
    mistake: str = "",
) -> Response:
    if session.stage is SessionStage.SECOND_FACTOR:
        return access_page(request, "second_factor.html", mistake=mistake, next_page=next_page)
    enrolment = second_factor.begin_enrolment(session.user.name)
    return access_page(
        request,
        "enrol.html",
        mistake=mistake,
        enrolment=enrolment,
        next_page=next_page,
        action=_SECOND_FACTOR,
        asks_password=False,
    )
