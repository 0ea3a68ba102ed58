"""HTTPS: the certificate of the web server, HSTS, and the port that leads browsers to HTTPS."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.tls.certificate_files import file_mistakes, open_key_mistake
from node.tls.contexts import ServerCertificate

_DAY_SECONDS = 86400
_HTTPS_PORT = 443


def request_is_https(request: HTTPConnection) -> bool:
    """Whether the browser uses HTTPS: to this server, or to a proxy before it.

    `ForwardedRequests` takes the scheme from X-Forwarded-Proto of proxies of the site.
    """
    return bool(request.scope["scheme"] == "https")


def check_web_certificate(settings: Settings, now: datetime) -> None:
    """Checks the files of the certificate and its key.

    Raises:
        Misconfigured: lists each file that cannot be used, with its setting and the remedy.
    """
    files = settings.web.tls_files
    mistakes = [*file_mistakes(files, now), *filter(None, [open_key_mistake(files)])]
    if mistakes:
        raise Misconfigured.combined(
            [
                Misconfigured(each.message, file=settings.file, key=f"web.{each.key}")
                for each in mistakes
            ]
        )


def server_certificate(
    settings: Settings, now: datetime, current: ServerCertificate | None = None
) -> ServerCertificate | None:
    """Returns the certificate to serve with: `current`, renewed from the files; None for HTTP.

    Raises:
        Misconfigured: a file cannot be used; `current` stays as it is.
    """
    if not settings.web.is_https:
        return None
    check_web_certificate(settings, now)
    try:
        if current is None:
            return ServerCertificate(settings.web.tls_files)
        current.renew(settings.web.tls_files)
    except (OSError, ValueError) as error:  # OpenSSL is stricter, for example about weak keys
        message = f"OpenSSL cannot use the certificate or its key ({error}): issue another one"
        raise Misconfigured(message, file=settings.file, key="web.certificate_file") from error
    return current


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
