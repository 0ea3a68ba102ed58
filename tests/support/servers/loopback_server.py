"""An HTTP server on loopback for the time of a `with` block; subclasses answer the requests."""

import ssl
import sys
import threading
from abc import abstractmethod
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_POLL_SECONDS = 0.02


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keeps quiet about handshakes that fail."""
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(request, client_address)


class LoopbackServer(AbstractContextManager["LoopbackServer"]):
    """Serves on a free port, by HTTPS with `tls`; `handler` returns the class that answers."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "http" if tls is None else "https"
        self._server = _Server(("127.0.0.1", 0), self.handler())
        if tls is not None:
            # The thread of a connection makes the handshake.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        # It looks for the end of the block so often.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
        )

    @abstractmethod
    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Returns the class that answers one request."""

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        """The root."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

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
