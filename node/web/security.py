"""Protection against foreign web pages in the browser of somebody at this machine.

A page of another site must neither press its buttons (cross-site
request forgery) nor read it under its own name that resolves to this machine (DNS rebinding).
"""

import ipaddress
import socket
from collections.abc import Callable, Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Fetch Metadata, by which a browser states where a request comes from; "none" is a typed address.
_OWN_SITES = {"same-origin", "none"}
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityMiddleware:
    """Refuses requests of foreign pages and adds security headers to responses.

    A request must address this node as localhost, by its machine's name, by an IP address, or by
    one of the current `names`: those that a site gives it, such as that of a proxy before it.
    """

    def __init__(self, app: ASGIApp, names: Callable[[], Collection[str]]) -> None:
        self._app = app
        self._names = names

    @property
    def _own_names(self) -> Collection[str]:
        names = ("localhost", socket.gethostname(), *self._names())
        return {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        name = _host_name(f"//{host}")
        if name not in self._own_names and not _is_ip_address(name):
            message = (
                f"this node is not known as {host!r}; to reach it under that name, add the name "
                "to web.names in its configuration"
            )
            return JSONResponse({"error": "wrong-host", "message": message}, 421)
        if method not in _SAFE_METHODS and self._is_cross_site(headers):
            message = "a web page of another site may not do this; use the node's own console"
            return JSONResponse({"error": "cross-site", "message": message}, 403)
        return None

    def _is_cross_site(self, headers: Headers) -> bool:
        """Whether a browser sends this for a page of another site; programs send neither header."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in _OWN_SITES
        origin = headers.get("origin")
        host = headers.get("host", "")
        if origin is None or origin.partition("://")[2] == host:
            return False
        if _host_name(origin) == _host_name(f"//{host}") and _has_port(host):
            return True  # another program on the same machine
        # A proxy may put its own name for the node into Host, or leave out the port; the page is
        # still the node's.
        return _host_name(origin) not in self._own_names


def _host_name(url: str) -> str:
    """Returns the host of a URL without its port; empty if it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # an unpaired bracket
        return ""


def _has_port(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").port is not None
    except ValueError:
        return True


def _is_ip_address(name: str) -> bool:
    # DNS rebinding needs a name: a page addressed by IP address comes from that server.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
