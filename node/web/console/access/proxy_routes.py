"""The route of logins by a reverse proxy that names people."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from node.access.proxy_login import ProxyLogin
from node.domain.access.users import AccountError
from node.web.console.access.answers import Facts, SiteLogin, login_form, see_other, with_cookie
from node.web.next_page import PROXY_LOGIN_PATH, safe_page

ROUTER = APIRouter(include_in_schema=False)
_NOT_CONFIGURED = "this node has no login by a proxy"


@ROUTER.get(PROXY_LOGIN_PATH)
def log_in(
    request: Request,
    login: SiteLogin,
    facts: Facts,
    next_page: Annotated[str, Query(alias="next")] = "",
) -> Response:
    """Opens a session for the person whom the proxy names, and leads to the wanted page."""
    proxy = login.options.proxy
    if proxy is None or login.options.login == "none":
        raise HTTPException(HTTPStatus.NOT_FOUND, _NOT_CONFIGURED)
    wanted = safe_page(next_page)
    try:
        opened = ProxyLogin(proxy, login).open(facts)
    except AccountError as error:
        return login_form(
            request,
            login.options,
            mistake=str(error),
            status=HTTPStatus.FORBIDDEN,
            next_page=wanted,
        )
    return with_cookie(see_other(wanted, {"Cache-Control": "no-store"}), opened, facts)
