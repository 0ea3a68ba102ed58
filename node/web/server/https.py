"""HTTPS: what requests come by it, HSTS, and the port that leads browsers to it."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DAY_SECONDS = 86400
_HTTPS_PORT = 443


def request_is_https(request: HTTPConnection) -> bool:
    """Whether the browser uses HTTPS: to this server, or to a proxy before it.

    `ForwardedRequests` takes the scheme from X-Forwarded-Proto of proxies of the site.
    """
    return bool(request.scope["scheme"] == "https")


class StrictTransport:
    """Has browsers use HTTPS alone for this host name, after a visit by HTTPS (RFC 6797)."""

    def __init__(self, app: ASGIApp, days: Callable[[], int]) -> None:
        self._app = app
        self._days = days

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the header to responses by HTTPS."""
        if scope["type"] != "http" or not request_is_https(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return

        async def send_with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                max_age = self._days() * _DAY_SECONDS
                headers.setdefault("Strict-Transport-Security", f"max-age={max_age}")
            await send(message)

        await self._app(scope, receive, send_with_header)


class RedirectToHttps:
    """Answers all requests by HTTP: browsers are sent to `port`, which takes HTTPS.

    What a program sends by HTTP has crossed the network in clear text already; a redirection would
    hide that.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            text = f"this node takes requests by HTTPS alone, on port {self._port}\n"
            return PlainTextResponse(text, HTTPStatus.FORBIDDEN, {"Connection": "close"})
        port = None if self._port == _HTTPS_PORT else self._port
        target = request.url.replace(scheme="https", port=port)
        return RedirectResponse(str(target), HTTPStatus.PERMANENT_REDIRECT)
