"""A strict UPS-RS origin server for tests (PS3.18 11), with events by WebSocket (8.10).

No UPS-RS server installs from PyPI, npm or Debian: dcm4chee-arc and the Microsoft DICOM server
need a database and an application server of their own.
"""

import base64
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.support.servers.ups_worklist import Answer, Received, UpsWorklist

_JSON = "application/dicom+json"


@dataclass
class UpsOriginServer(UpsWorklist):
    """Listens on loopback within its context.

    `is_down` drops every connection without an answer. `before` and `after` are called around the
    processing of each request; `after` comes before its answer is sent. `password` is that of
    the user `performer`. With `tls`, it takes HTTPS and secure WebSocket alone.
    """

    is_down: bool = False
    before: Callable[[Received], None] = lambda _: None
    after: Callable[[Received], None] = lambda _: None
    answer: Answer | None = None  # of every request
    password: str = ""
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # transaction, warning
    _channels: dict[str, ServerConnection] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The root of the service."""
        return f"http{self._secure}://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    @property
    def events_url(self) -> str:
        """The root of the WebSocket service."""
        return f"ws{self._secure}://127.0.0.1:{self._events.socket.getsockname()[1]}/events"

    @property
    def _secure(self) -> str:
        return "" if self.tls is None else "s"

    def is_listening(self, ae_title: str) -> bool:
        """Whether a performer has opened the channel for events."""
        return ae_title in self._channels

    def drop_channels(self) -> None:
        """Closes every channel for events."""
        for channel in list(self._channels.values()):
            channel.close()

    def notify(self, ae_title: str, message: str) -> bool:
        """Sends an event by the channel that a subscriber has opened."""
        channel = self._channels.get(ae_title)
        if channel is not None:
            channel.send(message)
        return channel is not None

    def __enter__(self) -> Self:
        ups = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def do_PUT(self) -> None:
                self._serve()

            def do_DELETE(self) -> None:
                self._serve()

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                content = self.rfile.read(length)
                if ups.is_down:
                    self.close_connection = True
                    return
                answer = ups._respond(self.command, self.path, self.headers, content)
                if answer is None:
                    self.close_connection = True
                    return
                body = b"" if answer.body is None else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", _JSON)
                self.send_header("Content-Length", str(len(body)))
                if answer.warning:
                    self.send_header("Warning", f"299 ups: {answer.warning}")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the tests' output quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            # The thread of a connection makes the handshake.
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._events: Server = serve(self._channel, "127.0.0.1", 0, ssl=self.tls)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.02,)),
            threading.Thread(target=self._events.serve_forever),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop_channels()
        self._server.shutdown()
        self._server.server_close()
        self._events.shutdown()
        for thread in self._threads:
            thread.join()

    def _respond(self, method: str, path: str, headers: Any, content: bytes) -> Answer | None:
        parts = urlsplit(path)
        body = json.loads(content)[0] if content else None
        query = parse_qsl(parts.query)
        received = Received(method, parts.path, dict(query), body)
        self.before(received)
        credentials = base64.b64encode(f"performer:{self.password}".encode()).decode()
        if self.password and headers.get("Authorization") != f"Basic {credentials}":
            answer = Answer(401)
        elif self.answer is not None:
            answer = self.answer
        elif content and headers.get("Content-Type") != _JSON:
            answer = Answer(415)
        else:
            with self._lock:
                self.received.append(received)
                answer = self.process(received, query)
                if answer.status >= 400:
                    self.refused.append((received.name, answer.warning))
        self.after(received)
        return None if self.is_down else answer

    def _channel(self, channel: ServerConnection) -> None:
        assert channel.request is not None
        ae_title = channel.request.path.removeprefix("/events/subscribers/")
        self._channels[ae_title] = channel
        try:
            for _ in channel:
                pass
        except ConnectionClosed:
            pass
        finally:
            if self._channels.get(ae_title) is channel:
                del self._channels[ae_title]
