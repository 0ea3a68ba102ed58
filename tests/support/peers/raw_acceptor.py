"""An archive that accepts an association and then sends any bytes, again and again."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.peers.upper_layer import ASSOCIATE_AC, IMPLICIT, item, pdu

_TIMEOUT_S = 60.0
_HEAD_BYTES = 6


@dataclass
class RawAcceptor:
    """Answers the first message with `piece`, without end; `sent` is the number of bytes.

    Without a piece, it waits after `first` until the node has closed the connection. `ended` is
    set when the node has. With `context`, it takes connections by TLS.
    """

    piece: bytes
    first: bytes = b""
    context: ssl.SSLContext | None = None
    sent: int = 0
    port: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator["RawAcceptor"]:
        """Serves one association on a thread of its own."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port = server.getsockname()[1]
            thread = threading.Thread(target=self._serve, args=[server])
            thread.start()
            yield self
            thread.join()

    def _serve(self, server: socket.socket) -> None:
        server.settimeout(_TIMEOUT_S)
        with suppress(OSError):  # the node ends the connection
            connection, _ = server.accept()
            with connection:
                connection.settimeout(_TIMEOUT_S)
                if self.context is None:
                    self._converse(connection)
                else:
                    with self.context.wrap_socket(connection, server_side=True) as secured:
                        self._converse(secured)
        self.ended.set()

    def _converse(self, connection: socket.socket) -> None:
        _read_pdu(connection)
        connection.sendall(_acceptance())
        _read_pdu(connection)
        connection.sendall(self.first)
        if not self.piece:
            while connection.recv(1 << 10):  # an abort before the end
                pass
            return
        while True:
            connection.sendall(self.piece)
            self.sent += len(self.piece)


def _acceptance() -> bytes:
    """An A-ASSOCIATE-AC for the first presentation context (PS3.8 9.3.3)."""
    context = item(0x21, bytes([1, 0, 0, 0]) + item(0x40, IMPLICIT.encode()))
    about = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    titles = b"PACS".ljust(16) + b"SEGNODE".ljust(16)
    head = struct.pack(">HH", 1, 0) + titles + bytes(32)
    application = item(0x10, b"1.2.840.10008.3.1.1.1")
    return pdu(ASSOCIATE_AC, head + application + context + item(0x50, about))


def _read_pdu(connection: socket.socket) -> None:
    (length,) = struct.unpack(">xxI", _exactly(connection, _HEAD_BYTES))
    _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = connection.recv(count - len(content))
        if not piece:
            raise ConnectionResetError
        content += piece
    return content
