"""The page that a person wanted before the login: an address on this node, and no other."""

from html import escape
from urllib.parse import urlencode, urlsplit

from starlette.responses import HTMLResponse, Response

LOGIN_PATH = "/login"
OIDC_LOGIN_PATH = "/login/oidc"
PROXY_LOGIN_PATH = "/login/proxy"
# The login page after the password of an account was set.
ACCOUNT_READY = f"{LOGIN_PATH}?ready=account"
_START_PAGE = "/"
_MAX_LENGTH = 2000


def login_address(wanted: str, login_path: str = LOGIN_PATH) -> str:
    """Returns the address of a login, which leads to the wanted page afterwards."""
    if wanted == _START_PAGE or safe_page(wanted) != wanted:
        return login_path
    return f"{login_path}?{urlencode({'next': wanted})}"


def safe_page(address: str) -> str:
    """Returns the address if it is a path on this node, else the start page.

    A browser takes `//host`, a backslash and control characters for parts of another address.
    """
    is_path = address.startswith("/") and not address.startswith("//")
    is_plain = address.isascii() and address.isprintable() and "\\" not in address
    if not is_path or not is_plain or len(address) > _MAX_LENGTH:
        return _START_PAGE
    try:
        parts = urlsplit(address)
    except ValueError:
        return _START_PAGE
    return _START_PAGE if parts.scheme or parts.netloc else address


def continue_page(address: str) -> Response:
    """Lets the browser open an address by itself.

    After a redirection from another site, it would not send the cookie of the session (SameSite).
    After a form, it would not follow a redirection to another site (Content-Security-Policy).
    """
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(address)}">'
    return HTMLResponse(text, headers={"Cache-Control": "no-store"})
