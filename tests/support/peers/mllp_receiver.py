"""Receivers of HL7 messages by MLLP: python-hl7's server, and one that misbehaves on request."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Self

import hl7
from hl7.mllp import start_hl7_server

_TIMEOUT_S = 30.0


class Hl7Server:
    """The MLLP server of python-hl7 on loopback; it keeps messages and acknowledges each.

    It answers the messages with `codes` in turn, and repeats the last.
    """

    def __init__(
        self,
        *codes: str,
        text: str = "",
        encoding: str = "utf-8",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.codes = codes or ("AA",)
        self._encoding = encoding
        self.text = text
        self.messages: list[Any] = []
        self.port = 0
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._server: Any = None

    def __enter__(self) -> Self:
        self._server = self._loop.run_until_complete(
            start_hl7_server(
                self._serve, host="127.0.0.1", port=0, encoding=self._encoding, ssl=self._tls
            )
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT_S)
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._server.wait_closed())
        self._loop.close()

    async def _serve(self, reader: Any, writer: Any) -> None:
        message = await reader.readmessage()
        self.messages.append(message)
        answer = message.create_ack(self.codes[min(len(self.messages), len(self.codes)) - 1])
        if self.text:
            answer["MSA"][0].assign_field(self.text, 3)
        writer.writemessage(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def acknowledgement(code: str, control_id: str, text: str = "") -> bytes:
    """Returns an acknowledgement in its MLLP frame."""
    msh = "MSH|^~\\&|HIS|A|SEGNODE|B|20260504||ACK^R01^ACK|1|P|2.5.1"
    return f"\x0b{msh}\rMSA|{code}|{control_id}|{text}\r\x1c\r".encode()


class RawReceiver:
    """Answers each message with the bytes that `answer` returns for it, and closes.

    It sends `piece_bytes` at a time. With None, it keeps the connection open and never answers.
    With `read_first` false, it closes without reading the message.
    """

    def __init__(
        self,
        answer: Callable[[Any], bytes | None],
        *,
        read_first: bool = True,
        piece_bytes: int = 1 << 16,
    ) -> None:
        self._answer = answer
        self._piece_bytes = piece_bytes
        self._read_first = read_first
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_TIMEOUT_S)
        for connection in self._open:
            connection.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._handle(connection)

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(_TIMEOUT_S)
        answer: bytes | None = b""
        if self._read_first:
            received = b""
            while not received.endswith(b"\x1c\r"):
                received += connection.recv(1 << 16)
            answer = self._answer(hl7.parse(received[1:-2].decode()))
        if answer is None:
            self._open.append(connection)
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):  # the node closes it when it has enough
            for start in range(0, len(answer), self._piece_bytes):
                connection.sendall(answer[start : start + self._piece_bytes])
