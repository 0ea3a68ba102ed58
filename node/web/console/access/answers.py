"""What the pages about logins share: their responses, the cookie of the session, the facts."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, HTTPException, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.access.authentication import RequestFacts
from node.access.login import Login, OpenedSession
from node.access.sessions import cookie_name
from node.domain.access.users import Credentials
from node.runtime.listening import current_listener
from node.settings import AccessOptions
from node.web.access_control import request_facts
from node.web.console.rendering import render
from node.web.current_sender import current_sender
from node.web.dependencies import SiteSettings, SiteStore, identity_of, settings_of
from node.web.next_page import OIDC_LOGIN_PATH, PROXY_LOGIN_PATH

# Pages with codes and forms of logins stay in no cache.
_HEADERS = {"Cache-Control": "no-store"}
_CLEAR = '"cache", "storage"'
_NO_ACCOUNT = "this page is for users who have logged in with an account of this node"


def _login(settings: SiteSettings, store: SiteStore) -> Login:
    return Login(store, settings.access)


def _facts(request: Request) -> RequestFacts:
    return request_facts(request)


Facts = Annotated[RequestFacts, Depends(_facts)]
SiteLogin = Annotated[Login, Depends(_login)]


def _own_credentials(request: Request, login: SiteLogin) -> Credentials:
    """Returns the credentials of the user who sends the request; 403 for all others."""
    identity = identity_of(request)
    credentials = login.store.credentials_of(identity.name)
    if not identity.has_account or credentials is None:
        raise HTTPException(HTTPStatus.FORBIDDEN, _NO_ACCOUNT)
    return credentials


OwnCredentials = Annotated[Credentials, Depends(_own_credentials)]


def access_page(
    request: Request,
    name: str,
    *,
    mistake: str = "",
    status: HTTPStatus = HTTPStatus.OK,
    **context: object,
) -> Response:
    """Returns a page about logins; a mistake of the person gives it status 422."""
    shown = HTTPStatus.UNPROCESSABLE_ENTITY if mistake and status is HTTPStatus.OK else status
    path = request.scope["path"]
    is_known = current_sender().identity is not None
    node = current_listener(settings_of(request.app)) if is_known else None
    text = render(f"access/{name}", node=node, path=path, mistake=mistake, **context)
    return HTMLResponse(text, shown, _HEADERS)


def login_form(
    request: Request,
    options: AccessOptions,
    *,
    mistake: str = "",
    status: HTTPStatus = HTTPStatus.OK,
    next_page: str = "",
    user_name: str = "",
    is_ready: bool = False,
) -> Response:
    """Returns the page with the ways to log in."""
    path, button = _other_way(options)
    return access_page(
        request,
        "login.html",
        mistake=mistake,
        status=status,
        next_page=next_page,
        user_name=user_name,
        is_ready=is_ready,
        options=options,
        other_address=path and f"{path}?{urlencode({'next': next_page})}",
        other_button=button,
    )


def _other_way(options: AccessOptions) -> tuple[str, str]:
    """Returns path and text of the login without an account of this node; empty without one."""
    if options.oidc is not None:
        return OIDC_LOGIN_PATH, options.oidc.button
    if options.proxy is not None:
        return PROXY_LOGIN_PATH, options.proxy.button
    return "", ""


def see_other(address: str, headers: Mapping[str, str] | None = None) -> Response:
    """Continues with GET at the address, so that a reload does not repeat the action."""
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, headers)


def with_cookie(response: Response, opened: OpenedSession, facts: RequestFacts) -> Response:
    """Adds the cookie of a session to the response; it lasts until the browser closes."""
    response.set_cookie(
        cookie_name(is_https=facts.is_https),
        opened.identifier,
        httponly=True,
        secure=facts.is_https,
        samesite="strict",
        path="/",
    )
    return response


def without_cookie(response: Response, facts: RequestFacts) -> Response:
    """Removes the cookie, and the pages that the browser keeps."""
    response.delete_cookie(
        cookie_name(is_https=facts.is_https),
        httponly=True,
        secure=facts.is_https,
        samesite="strict",
        path="/",
    )
    response.headers["Clear-Site-Data"] = _CLEAR
    return response
