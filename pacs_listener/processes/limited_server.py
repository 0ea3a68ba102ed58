"""The server that accepts connections on one port, beside the servers of other processes."""

import select
import socket
import ssl
import time
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom.transport import AssociationServer

from pacs_listener.processes.shared_limits import SharedLimits
from pacs_listener.tls_handshakes import accept_securely

# The connections that the system accepts before the listener does.
BACKLOG = 128
# The time in which a listener process with fewer connections accepts the next one.
_MAX_YIELD_S, _YIELD_STEP_S = 0.2, 0.002


class LimitedServer(AssociationServer):
    """Closes connections above `max_connections` at once; pynetdicom rejects those below.

    The thread that accepts a connection also starts the threads of its association, so that the
    next one is counted after it. Between the two, nothing waits for the peer.

    The servers of all ports count together, in all listener processes. With `tls_context`, the port
    is for TLS; its handshakes are made by the threads of the associations. With `inherited`, it
    accepts from that socket, beside other processes.
    """

    max_connections = 1000
    tls_context: ssl.SSLContext | None = None
    # The backlog of connections to accept. The parent has 5, and more connections wait for seconds.
    request_queue_size = BACKLOG

    def __init__(
        self,
        *args: Any,
        inherited: socket.socket | None,
        shared: SharedLimits,
        **more: Any,
    ) -> None:
        self._inherited = inherited
        self._shared = shared
        super().__init__(*args, **more)
        shared.set_connections(0)

    def server_bind(self) -> None:
        """Binds a socket, or takes the one that is bound already."""
        if self._inherited is None:
            super().server_bind()
            return
        cast(socket.socket, self.socket).close()
        self.socket = self._inherited
        # Another process may accept the connection that this one was woken for.
        self.socket.setblocking(False)
        self.server_address = self.socket.getsockname()

    def server_close(self) -> None:
        """Closes the socket; an inherited one stays open in the other processes."""
        if self._inherited is None:
            super().server_close()
        else:
            self._inherited.close()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether another connection is allowed."""
        counts = self._shared.connections
        counts[self._shared.own] = len(self.ae.active_associations)
        return sum(counts.values()) < self.max_connections

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accepts a connection.

        Raises:
            OSError: another process has accepted it.
        """
        if self._inherited is not None:
            self._let_others_accept(self._inherited)
        connection, address = super().get_request()
        if self._inherited is not None:
            own = self._shared.connections.get(self._shared.own, 0)
            self._shared.set_connections(own + 1)
        if self.tls_context is not None:
            connection = accept_securely(self.tls_context, connection)
        return connection, address

    def _let_others_accept(self, listening: socket.socket) -> None:
        """Leaves a connection to a process with fewer connections; returns once it is accepted.

        Returns after a while in any case: the other process may be stopped.
        """
        waiting = select.poll()
        waiting.register(listening, select.POLLIN)
        deadline = time.monotonic() + _MAX_YIELD_S
        while self._has_more_than_others() and time.monotonic() < deadline and waiting.poll(0):
            time.sleep(_YIELD_STEP_S)

    def _has_more_than_others(self) -> bool:
        counts = self._shared.connections
        return counts.get(self._shared.own, 0) > min(counts.values(), default=0)

    def shutdown(self) -> None:
        """Accepts no more connections, and closes the port."""
        # The parent removes itself from a list of the AE where `make_server` has not added it.
        BaseServer.shutdown(self)
        self.server_close()
