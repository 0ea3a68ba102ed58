"""What a foreign web page may not do through the browser of somebody at this machine.

The console has no log-in, so a page elsewhere must neither press its buttons (cross-site request
forgery) nor read it under a name of its own that resolves to this machine (DNS rebinding).
"""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
# Fetch Metadata: what a browser says of where a request comes from; "none" is a person's typing.
_OWN_SITES = {"same-origin", "none"}
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Refuses what comes from foreign pages and adds the headers that keep browsers in bounds.

    `only_local`: the node listens on this machine alone, so requests must name it as such.
    """

    def __init__(self, app: ASGIApp, only_local: bool) -> None:
        self._app = app
        self._own_names = {"localhost", socket.gethostname().lower()} if only_local else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
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
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if self._own_names is not None and not self._is_own(host):
            message = (
                f"this node serves its own machine alone, as localhost or 127.0.0.1, not as "
                f"{host!r}; set web.host in the configuration to serve others"
            )
            return JSONResponse({"error": "wrong-host", "message": message}, 421)
        if method not in _SAFE_METHODS and is_cross_site(headers):
            message = "a web page of another site may not do this; use the node's own console"
            return JSONResponse({"error": "cross-site", "message": message}, 403)
        return None

    def _is_own(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return name in (self._own_names or set()) or _is_address(name)


def is_cross_site(headers: Headers) -> bool:
    """Whether a browser sends this for a page of another site; programs send neither header."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITES
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def is_loopback(host: str) -> bool:
    """Whether a server on `host` can be reached from its own machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    # A page cannot be of an address that is not its server's: no name, no rebinding.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
