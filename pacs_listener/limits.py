"""What a peer can have us hold and wait for, before anything of it is trusted.

pynetdicom reads a PDU of any length, keeps a message of any number of PDUs and any number of
messages, waits for the rest of a PDU for ever, and starts threads for every connection.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from socketserver import BaseServer
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import structlog
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.transport import ThreadedAssociationServer

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOG = structlog.get_logger()
# An A-ASSOCIATE-RQ can be longer than the P-DATA that we ask for: 128 contexts with all their
# transfer syntaxes and extended negotiation. To look through one of this length takes a second.
_MOST_REQUEST_BYTES = 1 << 18
# PDU header and the head of a presentation data value.
_HEADS_BYTES = 64
_READ_BYTES = 1 << 16
# PS3.8 E.2: the lowest bit of a message control header.
_IS_COMMAND = 1
# A command set is some hundred bytes, and takes a hundred times that once it is decoded.
_MOST_COMMAND_BYTES = 1 << 16
# We agree to one request at a time (PS3.7 D.3.3.3), and let those be who hurry a little.
_MOST_UNANSWERED = 16
# The state of an association that is over, and whose connection is to be closed (PS3.8 9.2.1).
_OVER = "Sta13"


@dataclass(frozen=True)
class Limits:
    """The largest multi-frame CT fits into `instance_bytes`; `together_bytes` is of all peers."""

    pdu_bytes: int
    pdu_s: float  # from the first byte of a PDU to its last
    instance_bytes: int = 2 << 30
    together_bytes: int = 4 << 30


class BoundedServer(ThreadedAssociationServer):
    """Closes connections beyond a number at once; below, the application entity rejects in form."""

    most_connections = 1000
    # Of connections that wait to be accepted; its parent has 5, and more wait for seconds.
    request_queue_size = 128

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more."""
        return len(self.active_associations) < self.most_connections

    def shutdown(self) -> None:
        """Accept no more, and close the port."""
        # Its parent would have the application entity forget it, which never knew it.
        BaseServer.shutdown(self)
        self.server_close()


@dataclass
class _Held:
    """What one association has sent, in bytes."""

    command: int = 0  # of the command set that is coming in
    # Of each message that has not been answered; the last is still coming in.
    messages: deque[int] = field(default_factory=lambda: deque([0]))


@dataclass
class Bounds:
    """Ends the connections of peers that go beyond the limits."""

    limits: Limits
    _held: "WeakKeyDictionary[Association, _Held]" = field(default_factory=WeakKeyDictionary)
    _beyond: "WeakKeyDictionary[Association, str]" = field(default_factory=WeakKeyDictionary)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What is done on which event of an association."""
        return [
            (evt.EVT_CONN_OPEN, self._bind),
            (evt.EVT_PDU_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._begin_next),
            (evt.EVT_DIMSE_SENT, self._let_go),
            (evt.EVT_CONN_CLOSE, self._forget),
        ]

    def _bind(self, event: Event) -> None:
        """Read from this connection by `_receive`."""
        association, transport = event.assoc, event.assoc.dul.socket
        connection = transport.socket if transport is not None else None
        if transport is None or connection is None:
            return
        receive = self._receiver(association, connection)
        transport.recv = receive  # type: ignore[method-assign, assignment] # no other way

    def _receiver(
        self, association: "Association", connection: socket.socket
    ) -> Callable[[int], bytearray]:
        most = max(self.limits.pdu_bytes + _HEADS_BYTES, _MOST_REQUEST_BYTES)

        def receive(count: int) -> bytearray:
            """Exactly so many bytes; fewer where the peer has closed the connection."""
            if association.dul.state_machine.current_state == _OVER:
                # As if it had: else each piece of what still comes would be answered.
                return bytearray()
            told = self._beyond.get(association, "")
            if count > most:
                told = f"a PDU of {count} bytes"
            if told:
                _LOG.warning("association.ended", address=association.requestor.address, sent=told)
                raise ConnectionAbortedError(told)
            return _read(connection, count, self.limits.pdu_s)

        return receive

    def _count(self, event: Event) -> None:
        """Add up what has come in and is not answered."""
        if not isinstance(event.pdu, P_DATA_TF):
            return
        with self._lock:
            held = self._held.setdefault(event.assoc, _Held())
            for item in event.pdu.presentation_data_value_items:
                value = item.presentation_data_value or b"\0"
                held.messages[-1] += len(value)
                if value[0] & _IS_COMMAND:
                    held.command += len(value)
            told = self._beyond_limits(held)
            if told:
                self._beyond[event.assoc] = told

    def _beyond_limits(self, held: _Held) -> str:
        """What of it is too much; empty where nothing is."""
        count = sum(held.messages)
        if held.command > _MOST_COMMAND_BYTES:
            return f"a command of over {held.command} bytes"
        if len(held.messages) > _MOST_UNANSWERED:
            return f"{len(held.messages)} requests without waiting for an answer"
        if count > self.limits.instance_bytes:
            return f"a data set of over {count} bytes"
        together = sum(sum(each.messages) for each in self._held.values())
        if together > self.limits.together_bytes:
            return "a data set while all peers' fill the memory"
        return ""

    def _begin_next(self, event: Event) -> None:
        with self._lock:
            held = self._held.setdefault(event.assoc, _Held())
            held.command = 0
            held.messages.append(0)

    def _let_go(self, event: Event) -> None:
        with self._lock:
            held = self._held.get(event.assoc)
            if held is not None and len(held.messages) > 1:
                held.messages.popleft()

    def _forget(self, event: Event) -> None:
        with self._lock:
            self._held.pop(event.assoc, None)


def _read(connection: socket.socket, count: int, within_s: float) -> bytearray:
    """So many bytes, or fewer where the connection was closed.

    Raises:
        TimeoutError: they did not come in that time.
    """
    content = bytearray()
    end = time.monotonic() + within_s
    while len(content) < count:
        connection.settimeout(max(0.001, end - time.monotonic()))
        piece = connection.recv(min(_READ_BYTES, count - len(content)))
        if not piece:
            break
        content += piece
    # What is sent may wait as long, for a peer that does not read.
    connection.settimeout(within_s)
    return content
