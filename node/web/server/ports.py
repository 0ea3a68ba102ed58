"""The ports of the web server: one for the application, and one that leads browsers to HTTPS."""

import asyncio
import socket
import ssl
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from node.domain.errors import Misconfigured
from node.settings import Settings
from node.web.dependencies import settings_of
from node.web.security import SecurityMiddleware
from node.web.server.https import RedirectToHttps
from node.web.server.tls_handshakes import TlsHandshakes
from node.web.server_config import server_config

_BACKLOG = 128


@dataclass(frozen=True)
class WebAddress:
    """What needs a restart where it changes."""

    host: str
    port: int
    redirect_port: int | None
    is_https: bool

    @classmethod
    def of(cls, settings: Settings) -> "WebAddress":
        """Returns the address in the settings."""
        web = settings.web
        return cls(web.host, web.port, web.redirect_port, web.is_https)


@dataclass(frozen=True)
class WebPort:
    """An open socket and what answers on it; `tls` is None for HTTP."""

    socket: socket.socket
    app: ASGIApp
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    async def serve(self, server: uvicorn.Server) -> asyncio.Server:
        """Accepts connections for a uvicorn server, which ends them when it stops."""
        config = server_config(self.app)
        config.load()

        def create_protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn does
                config=config, server_state=server.server_state, app_state=server.lifespan.state
            )

        accept = create_protocol
        if self.tls is not None:
            accept = TlsHandshakes(self.tls, create_protocol).accept
        loop = asyncio.get_running_loop()
        return await loop.create_server(accept, sock=self.socket, backlog=_BACKLOG)


def open_ports(settings: Settings, app: FastAPI, tls: ssl.SSLContext | None) -> list[WebPort]:
    """Opens the ports of the settings; port 0 selects a free one. The first is that of the node.

    Raises:
        Misconfigured: an address cannot be listened on.
    """
    first = WebPort(_open_socket(settings, settings.web.port), app, tls)
    if settings.web.redirect_port is None:
        return [first]
    try:
        second = _open_socket(settings, settings.web.redirect_port)
    except Misconfigured:
        first.socket.close()
        raise
    # It must not send browsers to names that are not the node's.
    redirect = SecurityMiddleware(
        RedirectToHttps(first.address[1]), names=lambda: settings_of(app).web.names
    )
    return [first, WebPort(second, redirect)]


def _open_socket(settings: Settings, port: int) -> socket.socket:
    host = settings.web.host
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        server_socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            file=settings.file,
            key="web",
        ) from error
    # Connections inherit it; otherwise each part of a response waits for an acknowledgement.
    server_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return server_socket
