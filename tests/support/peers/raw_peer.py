"""A peer that sends any bytes and reads the PDUs of the response."""

import socket
import ssl
import struct
from collections.abc import Iterable
from typing import Self

from tests.support.peers import upper_layer
from tests.support.peers.secure_port import Port, open_connection

_TIMEOUT_S = 30.0
_P_DATA_HEADER_BYTES = 6


def is_closed(connection: socket.socket) -> bool:
    """Waits until the peer closes the connection; returns whether it does."""
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


class RawPeer:
    """A connection to a listener; `associated` returns one with an association."""

    def __init__(self, port: Port) -> None:
        self.socket = open_connection(port, _TIMEOUT_S)
        # Otherwise each small PDU waits for the acknowledgement of the one before.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def associated(cls, port: Port) -> Self:
        """Opens an association for CT images in four transfer syntaxes, C-ECHO and commitment."""
        peer = cls(port)
        peer.send([upper_layer.associate_rq()])
        pdu_type, _ = peer.read()
        if pdu_type != upper_layer.ASSOCIATE_AC:
            peer.close()
            raise AssertionError(f"no association: got a PDU of type {pdu_type}")
        return peer

    def send(self, pdus: Iterable[bytes]) -> bool:
        """Sends the PDUs; returns whether the listener is still connected."""
        try:
            for pdu in pdus:
                self.socket.sendall(pdu)
        except OSError:
            return False
        return True

    def read(self) -> tuple[int, bytes]:
        """Returns type and body of the next PDU; 0 and no bytes where the connection has ended."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        pdu_type, length = struct.unpack(">BxI", head)
        return int(pdu_type), self._exactly(length)

    def status(self, pdus: Iterable[bytes]) -> int | None:
        """Returns the status of the response; None where the association has ended."""
        self.send(pdus)
        pdu_type, body = self.read()
        return (
            _status_in(body[_P_DATA_HEADER_BYTES:]) if pdu_type == upper_layer.P_DATA_TF else None
        )

    def is_ended(self) -> bool:
        """Waits until the listener closes the connection; returns whether it does."""
        return is_closed(self.socket)

    def end_sending(self) -> None:
        """Ends the direction to the listener; what it sends can still be read.

        Raises:
            OSError: the connection has ended.
        """
        # `SSLSocket.shutdown` would forget the keys, which the responses still need.
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def close(self) -> None:
        """Closes the connection without a release or an abort."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exactly(self, count: int) -> bytes:
        """Returns `count` bytes; fewer where the connection has ended."""
        content = b""
        try:
            while len(content) < count and (piece := self.socket.recv(count - len(content))):
                content += piece
        except (ConnectionError, ssl.SSLError):
            pass
        return content


def _status_in(command: bytes) -> int:
    """The status in a command set."""
    at = 0
    while at < len(command):
        group, element, length = struct.unpack_from("<HHI", command, at)
        if (group, element) == (0, upper_layer.STATUS):
            (status,) = struct.unpack_from("<H", command, at + 8)
            return int(status)
        at += 8 + length
    raise AssertionError("a response without a status")
