"""A peer that sends whatever a test wants, and reads what comes back."""

import socket
import struct
from collections.abc import Iterable
from typing import Self

from tests.support.peers import upper_layer

_PATIENCE_S = 30.0
_P_DATA_HEAD_BYTES = 6


def is_closed(connection: socket.socket) -> bool:
    """Whether the peer has ended it; waits for that."""
    try:
        while connection.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


class RawPeer:
    """A connection to a listener; `associated` has asked for an association and got it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(_PATIENCE_S)
        # Else each small PDU waits for the last one's acknowledgement.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def associated(cls, port: int) -> Self:
        """With an association for CT images in four encodings, C-ECHO and commitment."""
        peer = cls(port)
        peer.send([upper_layer.associate_rq()])
        kind, _ = peer.read()
        if kind != upper_layer.ASSOCIATE_AC:
            peer.close()
            raise AssertionError(f"no association: a PDU of kind {kind} came")
        return peer

    def send(self, pdus: Iterable[bytes]) -> bool:
        """Send them; whether the listener was still there."""
        try:
            for pdu in pdus:
                self.socket.sendall(pdu)
        except OSError:
            return False
        return True

    def read(self) -> tuple[int, bytes]:
        """Kind and body of the next PDU; zero and nothing where the connection has ended."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return int(kind), self._exactly(length)

    def status(self, pdus: Iterable[bytes]) -> int | None:
        """The status that a request is answered with; None where the association has ended."""
        self.send(pdus)
        kind, body = self.read()
        return _status_in(body[_P_DATA_HEAD_BYTES:]) if kind == upper_layer.P_DATA_TF else None

    def is_ended(self) -> bool:
        """Whether the listener ends the connection; waits for that."""
        return is_closed(self.socket)

    def close(self) -> None:
        """Go without a word."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exactly(self, count: int) -> bytes:
        """So many bytes, fewer where the connection has ended."""
        content = b""
        try:
            while len(content) < count and (piece := self.socket.recv(count - len(content))):
                content += piece
        except ConnectionError:
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
    raise AssertionError("an answer without a status")
