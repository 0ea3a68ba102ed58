"""An HTTP server on loopback that answers every request in the same way, and keeps the requests."""

import ssl
import sys
import threading
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keeps quiet about handshakes that fail."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@dataclass
class AnsweringServer(AbstractContextManager["AnsweringServer"]):
    """Answers with this status, type and body; `requests` are the methods, paths and bodies."""

    status: int = 200
    content_type: str = "application/dicom+json"
    body: bytes = b"[]"
    location: str = ""
    encoding: str = ""  # of the body, such as gzip
    tls: ssl.SSLContext | None = None
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    authorization: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), self._handler())
        if self.tls is not None:
            # The thread of a connection makes the handshake.
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        """The root."""
        return f"http{'' if self.tls is None else 's'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                server.requests.append((self.command, self.path, body))
                server.authorization.append(self.headers.get("Authorization", ""))
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
