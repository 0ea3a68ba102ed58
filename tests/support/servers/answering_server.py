"""An HTTP server on loopback that answers every request in the same way, and keeps the requests."""

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any

from tests.support.servers.loopback_server import LoopbackServer


@dataclass
class AnsweringServer(LoopbackServer):
    """Answers with this status, type and body; `requests` are the methods, paths and bodies."""

    status: int = 200
    content_type: str = "application/dicom+json"
    body: bytes = b"[]"
    location: str = ""
    encoding: str = ""  # of the body, such as gzip
    protocol: str = "HTTP/1.0"
    is_silent: bool = False  # it reads each request and answers none
    tls: ssl.SSLContext | None = None
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)
    until_closed: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        super().__init__(self.tls)

    def __exit__(self, *error: Any) -> None:
        self.until_closed.set()
        super().__exit__(*error)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Returns the class that answers one request."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = server.protocol

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append((self.command, self.path, body))
                server.authorization.append(self.headers.get("Authorization", ""))
                if server.is_silent:
                    server.until_closed.wait()
                    return
                self.send_response(server.status)
                self.send_header("Content-Type", server.content_type)
                self.send_header("Content-Length", str(len(server.body)))
                if server.encoding:
                    self.send_header("Content-Encoding", server.encoding)
                if server.location:
                    self.send_header("Location", server.location)
                self.end_headers()
                with suppress(ConnectionError):  # the node reads no further
                    self.wfile.write(server.body)

            do_GET = do_POST = _answer  # noqa: N815 the names of http.server

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
