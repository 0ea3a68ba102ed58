"""Routes of the login at an identity provider, and of the logout there."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from node.access.authentication import RequestFacts
from node.access.oidc.oidc_login import (
    CALLBACK_PATH,
    CallbackParameters,
    OidcLogin,
    unavailable_text,
)
from node.access.oidc.pending_login import MAX_DURATION, PendingLogin
from node.access.oidc.provider import CurrentProvider, ProviderUnavailable
from node.domain.access.users import AccountError
from node.web.console.access.answers import (
    Facts,
    SiteLogin,
    login_form,
    see_other,
    with_cookie,
)
from node.web.dependencies import SiteSettings
from node.web.next_page import OIDC_LOGIN_PATH, continue_page, safe_page

ROUTER = APIRouter(include_in_schema=False)
_COOKIE = "segnode-oidc-login"
_SECURE_COOKIE = "__Host-segnode-oidc-login"
_NOT_CONFIGURED = "this node has no login at an identity provider"


def oidc_login(request: Request, settings: SiteSettings, login: SiteLogin) -> OidcLogin | None:
    """Returns the login at the provider; None if the settings name none."""
    current = request.app.state.identity_provider
    assert isinstance(current, CurrentProvider)  # noqa: S101 set by create_app
    options = settings.access.oidc
    if options is None or settings.access.login == "none":
        return None
    return OidcLogin(current.of(options), settings.web.public_url, login)


def _required(login: "OptionalOidcLogin") -> OidcLogin:
    if login is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, _NOT_CONFIGURED)
    return login


OptionalOidcLogin = Annotated[OidcLogin | None, Depends(oidc_login)]
SiteOidcLogin = Annotated[OidcLogin, Depends(_required)]


@ROUTER.get(OIDC_LOGIN_PATH)
def begin(request: Request, login: SiteOidcLogin, facts: Facts) -> Response:
    """Sends the browser to the provider; the cookie lets it come back."""
    wanted = safe_page(request.query_params.get("next", ""))
    pending = PendingLogin.start(wanted, facts.now)
    try:
        response = see_other(login.address(pending), {"Cache-Control": "no-store"})
    except ProviderUnavailable as error:
        return _failed(request, login, unavailable_text(error), HTTPStatus.SERVICE_UNAVAILABLE)
    # The provider sends the browser back from another site, for which "strict" would be too much.
    response.set_cookie(
        _cookie_name(facts),
        pending.cookie,
        max_age=int(MAX_DURATION.total_seconds()),
        httponly=True,
        secure=facts.is_https,
        samesite="lax",
        path="/",
    )
    return response


@ROUTER.get(CALLBACK_PATH)
def finish(request: Request, login: SiteOidcLogin, facts: Facts) -> Response:
    """Opens the session of the person whom the provider sends back."""
    pending = PendingLogin.from_cookie(facts.cookies.get(_cookie_name(facts), ""), facts.now)
    query = request.query_params
    sent = CallbackParameters(*(query.get(key, "") for key in ("code", "state", "iss")))
    try:
        opened = login.finish(pending, sent, facts)
    except AccountError as error:
        response = _failed(request, login, str(error), HTTPStatus.FORBIDDEN)
    except ProviderUnavailable as error:
        text = unavailable_text(error)
        response = _failed(request, login, text, HTTPStatus.SERVICE_UNAVAILABLE)
    else:
        next_page = safe_page("" if pending is None else pending.next_page)
        response = with_cookie(continue_page(next_page), opened, facts)
    return _without_pending(response, facts)


def _failed(request: Request, login: OidcLogin, mistake: str, status: HTTPStatus) -> Response:
    return login_form(request, login.login.options, mistake=mistake, status=status)


def _without_pending(response: Response, facts: RequestFacts) -> Response:
    response.delete_cookie(
        _cookie_name(facts), httponly=True, secure=facts.is_https, samesite="lax", path="/"
    )
    return response


def _cookie_name(facts: RequestFacts) -> str:
    return _SECURE_COOKIE if facts.is_https else _COOKIE
