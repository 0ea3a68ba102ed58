"""TLS handshakes of the web server, limited in number and time: no connection is open before."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from node.settings.network.loopback import is_loopback

_LOG = structlog.get_logger()
# Handshakes take an open file each, beside the connections that are open.
MAX_HANDSHAKES = 200
# Of one address, so that one client leaves some to others. A proxy on this machine has all.
MAX_HANDSHAKES_OF_CLIENT = 50
MAX_HANDSHAKE_SECONDS = 10.0
# For the client to confirm the end of a connection.
_SHUTDOWN_SECONDS = 5.0


@dataclass
class TlsHandshakes:
    """Makes the handshake of each connection, and then passes it to the protocol of a request."""

    context: ssl.SSLContext
    create_protocol: Callable[[], asyncio.Protocol]
    open: set["_Handshake"] = field(default_factory=set)

    def accept(self) -> asyncio.Protocol:
        """Returns the protocol of a new connection."""
        return _Handshake(self)

    def exceeds(self, client: str) -> bool:
        """Whether another handshake of this client is too many."""
        if len(self.open) >= MAX_HANDSHAKES:
            return True
        if not client or is_loopback(client):
            return False
        return sum(each.client == client for each in self.open) >= MAX_HANDSHAKES_OF_CLIENT


class _Handshake(asyncio.Protocol):
    """One connection until it is secured; keeps what arrives between both protocols."""

    def __init__(self, handshakes: TlsHandshakes) -> None:
        self.client = ""
        self._handshakes = handshakes
        self._received = bytearray()
        self._is_lost = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the handshake, unless there are too many."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 of a TCP server
        address = transport.get_extra_info("peername")
        self.client = str(address[0]) if address else ""
        if self._handshakes.exceeds(self.client):
            _LOG.warning("web.connection_refused", client=self.client)
            transport.abort()
            return
        transport.pause_reading()  # until the protocol of TLS reads
        self._handshakes.open.add(self)
        self._task = asyncio.get_running_loop().create_task(self._secure(transport))

    def data_received(self, data: bytes) -> None:
        """Keeps a request that arrives right behind the handshake."""
        self._received += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends what has not begun."""
        self._is_lost = True

    async def _secure(self, transport: asyncio.Transport) -> None:
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                self,
                self._handshakes.context,
                server_side=True,
                ssl_handshake_timeout=MAX_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except OSError:  # no TLS, no common version, or the client has gone; it has no request
            return
        finally:
            self._handshakes.open.discard(self)
        if secured is None or self._is_lost:
            return
        protocol = self._handshakes.create_protocol()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        if self._received:
            protocol.data_received(bytes(self._received))
