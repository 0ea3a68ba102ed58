"""Exchange of one message by MLLP, the Minimal Lower Layer Protocol of HL7, over TCP or TLS."""

import socket
import ssl
import time
from dataclasses import dataclass

from node.domain.errors import Transient
from node.tls.certificate_files import TlsFiles
from node.tls.connections import StreamServer
from node.tls.refusal import refusal

START_BLOCK = b"\x0b"
END_BLOCK = b"\x1c"
# An acknowledgement has some hundred bytes.
_MAX_ANSWER_BYTES = 1 << 20
_READ_BYTES = 4096


@dataclass(frozen=True)
class MllpReceiver:
    """A receiver of HL7 messages; `tls` is None for plain TCP.

    `timeout_seconds` limits the connection, and then the time until the answer is complete.
    """

    host: str
    port: int
    timeout_seconds: float
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def exchange(self, block: bytes) -> bytes:
        """Sends a block (start block, message, end block) and returns the message of the answer.

        Raises:
            Transient: there is no connection or no complete answer; the message says what to check.
        """
        with self._server.connected() as connection:
            deadline = time.monotonic() + self.timeout_seconds
            try:
                connection.sendall(block)
                return self._answer(connection, deadline)
            except TimeoutError as error:
                raise Transient(
                    f"{self} did not acknowledge within {self.timeout_seconds:g} s: check that "
                    "its interface processes messages"
                ) from error
            except ssl.SSLError as error:  # with TLS 1.3, a refused certificate shows here
                raise self._server.no_tls(error) from error
            except OSError as error:
                raise self._closed() from error

    @property
    def _server(self) -> StreamServer:
        return StreamServer(
            str(self), "the receiver", self.host, self.port, self.timeout_seconds, self.tls
        )

    def _closed(self) -> Transient:
        reason = "that its interface runs"
        if self.tls is not None:  # with TLS 1.3, a refusal of the node's certificate may show here
            if failure := refusal(self.host, self.port, self.tls):
                return Transient(f"{self} and the node agree on no TLS connection: {failure}")
            reason = f"{reason}, and that it accepts the node's certificate (certificate_file)"
        return Transient(
            f"{self} closed the connection before it acknowledged the message: check {reason}"
        )

    def _answer(self, connection: socket.socket, deadline: float) -> bytes:
        received = bytearray()
        part = b""
        while END_BLOCK not in part:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            connection.settimeout(remaining)
            part = connection.recv(_READ_BYTES)
            if not part:
                raise self._closed()
            received += part
            if not received.startswith(START_BLOCK) or len(received) > _MAX_ANSWER_BYTES:
                raise Transient(
                    f"{self} answers with something other than an HL7 message: check that the "
                    "port is that of its MLLP interface"
                )
        return bytes(received[1 : received.index(END_BLOCK)])
