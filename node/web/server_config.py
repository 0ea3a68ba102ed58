"""The HTTP server, with limits on connections and on clients that are silent or do not read."""

import asyncio

import h11
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from node.settings.network.loopback import is_loopback

_LOG = structlog.get_logger()
# Below the usual limit of 1024 open files of a process, which files and database share.
MAX_CONNECTIONS = 500
# Of one address, so that one client leaves some to others. A proxy on this machine has all.
MAX_CONNECTIONS_OF_CLIENT = 200
# From the start of a connection, or from the first byte of a further request, to its last header.
MAX_HEADER_SECONDS = 30.0
# Address and headers of a request that has not arrived completely. The default of h11 is less than
# the address of a search for many UIDs.
_MAX_HEAD_BYTES = 64 << 10
# A client that reads nothing of a response for this long counts as gone.
MAX_WRITE_PAUSE_SECONDS = 60.0
# Time for running responses to finish after a stop signal.
_GRACE_S = 10


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Returns the configuration of the server of an application."""
    return uvicorn.Config(
        app,
        # No access log: QIDO-RS URLs can contain patient names.
        access_log=False,
        ws="none",
        http=LimitedProtocol,
        log_config=None,
        lifespan="off",
        server_header=False,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        proxy_headers=False,  # `ForwardedRequests` reads them
        timeout_graceful_shutdown=_GRACE_S,
    )


class LimitedProtocol(H11Protocol):
    """One connection; it is closed where a limit is exceeded."""

    _deadlines: dict[str, asyncio.TimerHandle]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        self._deadlines = {}
        super().connection_made(transport)
        if self._exceeds_connections():
            _LOG.warning("web.connection_refused", client=self.client and self.client[0])
            transport.abort()
            return
        self._start("headers", MAX_HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        # The rest of a body that was answered without it has the same time.
        if self.conn.their_state is h11.IDLE or self.conn.our_state is h11.DONE:
            self._start("headers", MAX_HEADER_SECONDS)
        else:
            self._end("headers")

    def on_response_complete(self) -> None:
        """See `H11Protocol`; a next request may have begun, and the rest of a body may come."""
        super().on_response_complete()
        has_begun = bool(self.conn.trailing_data[0])
        if has_begun or self.conn.their_state is h11.SEND_BODY:
            self._start("headers", MAX_HEADER_SECONDS)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().pause_writing()
        self._start("reading", MAX_WRITE_PAUSE_SECONDS)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._end("reading")

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        for name in tuple(self._deadlines):
            self._end(name)

    def _exceeds_connections(self) -> bool:
        if len(self.connections) > MAX_CONNECTIONS:
            return True
        if self.client is None or is_loopback(self.client[0]):
            return False
        own = sum(
            isinstance(other, H11Protocol) and (other.client or ("",))[0] == self.client[0]
            for other in self.connections
        )
        return own > MAX_CONNECTIONS_OF_CLIENT

    def _start(self, name: str, seconds: float) -> None:
        """Closes the connection after this time, unless it is running already or ends before."""
        if name not in self._deadlines:
            self._deadlines[name] = self.loop.call_later(seconds, self.transport.abort)

    def _end(self, name: str) -> None:
        if (deadline := self._deadlines.pop(name, None)) is not None:
            deadline.cancel()
