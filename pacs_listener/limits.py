"""Limits on what a peer may make the listener buffer or wait for.

pynetdicom reads a PDU of any length, buffers a message of any number of PDUs and any number of
messages, waits without limit for the rest of a PDU, and starts threads for every connection.
"""

import socket
import ssl
import threading
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

from node.dimse.answer_limits import (
    IS_COMMAND,
    MAX_COMMAND_BYTES,
    MAX_INSTANCE_BYTES,
    read_within,
)
from node.dimse.pynetdicom_internals import awaits_close, connection_of, replace_receive
from node.domain.connections.rejected_connection import ListenerRejection
from pacs_listener.tls_handshakes import TLS_HANDSHAKE, accept_securely

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOG = structlog.get_logger()
# An A-ASSOCIATE-RQ can be longer than the maximum P-DATA: 128 contexts with all their transfer
# syntaxes and extended negotiation. Parsing one of this length takes a second.
_MAX_REQUEST_BYTES = 1 << 18
# The headers of a PDU and of a presentation data value.
_HEADER_BYTES = 64
# pynetdicom reads the type and the length of a PDU first.
_PDU_HEADER_BYTES = 6
# The type and the first part of the version of a TLS record (RFC 8446 5.1).
_TLS_START = bytes([TLS_HANDSHAKE, 0x03])
# The listener agrees to one operation at a time (PS3.7 D.3.3.3), and tolerates a few more.
_MAX_UNANSWERED = 16


@dataclass(frozen=True)
class Limits:
    """The limits; the largest multi-frame CT fits into `instance_bytes`."""

    pdu_bytes: int
    pdu_s: float  # from the first byte of a PDU to its last
    instance_bytes: int = MAX_INSTANCE_BYTES
    total_bytes: int = 4 << 30  # of all associations


class LimitedServer(ThreadedAssociationServer):
    """Closes connections above `max_connections` at once; pynetdicom rejects those below.

    The servers of all ports count together. With `tls_context`, the port is for TLS; its handshakes
    are made by the threads of the associations.
    """

    max_connections = 1000
    tls_context: ssl.SSLContext | None = None
    # The backlog of connections to accept. The parent has 5, and more connections wait for seconds.
    request_queue_size = 128

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether another connection is allowed."""
        return len(self.ae.active_associations) < self.max_connections

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accepts a connection."""
        connection, address = super().get_request()
        if self.tls_context is not None:
            connection = accept_securely(self.tls_context, connection)
        return connection, address

    def shutdown(self) -> None:
        """Accepts no more connections, and closes the port."""
        # The parent removes itself from a list of the AE where `make_server` has not added it.
        BaseServer.shutdown(self)
        self.server_close()


@dataclass
class _Buffered:
    """Numbers of bytes that one association has sent and that are in memory."""

    command: int = 0  # of the command set that is being received
    # Of each message without a response; the last is still being received.
    messages: deque[int] = field(default_factory=lambda: deque([0]))


@dataclass
class LimitEnforcer:
    """Closes the connections of peers that exceed the limits.

    `reject` counts a peer that uses TLS on the port without it.
    """

    limits: Limits
    reject: Callable[["Association", ListenerRejection], None]
    _buffered: "WeakKeyDictionary[Association, _Buffered]" = field(
        default_factory=WeakKeyDictionary
    )
    _violations: "WeakKeyDictionary[Association, str]" = field(default_factory=WeakKeyDictionary)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of an association's events."""
        return [
            (evt.EVT_CONN_OPEN, self._limit_receive),
            (evt.EVT_PDU_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._start_next_message),
            (evt.EVT_DIMSE_SENT, self._release_message),
            (evt.EVT_CONN_CLOSE, self._release_all),
        ]

    def _limit_receive(self, event: Event) -> None:
        """Replaces the function that reads from the connection."""
        connection = connection_of(event.assoc)
        if connection is not None:
            replace_receive(event.assoc, self._receiver(event.assoc, connection))

    def _receiver(
        self, association: "Association", connection: socket.socket
    ) -> Callable[[int], bytearray]:
        max_bytes = max(self.limits.pdu_bytes + _HEADER_BYTES, _MAX_REQUEST_BYTES)

        def receive(count: int) -> bytearray:
            """Returns `count` bytes; fewer where the peer has closed the connection."""
            if awaits_close(association):
                # As if the peer had closed it: otherwise each further piece would be answered.
                return bytearray()
            violation = self._violations.get(association, "")
            if count > max_bytes:
                violation = f"a PDU of {count} bytes"
            if violation:
                _LOG.warning(
                    "association.limit_exceeded",
                    address=association.requestor.address,
                    sent=violation,
                )
                raise ConnectionAbortedError(violation)
            content = read_within(connection, count, self.limits.pdu_s)
            # The same limit applies to sending, for a peer that does not read.
            connection.settimeout(self.limits.pdu_s)
            if _is_tls(content) and not isinstance(connection, ssl.SSLSocket):
                self.reject(association, ListenerRejection.PLAIN_EXPECTED)
            return content

        return receive

    def _count(self, event: Event) -> None:
        """Counts the bytes of a PDU."""
        if not isinstance(event.pdu, P_DATA_TF):
            return
        with self._lock:
            buffered = self._buffered.setdefault(event.assoc, _Buffered())
            for item in event.pdu.presentation_data_value_items:
                value = item.presentation_data_value or b"\0"
                buffered.messages[-1] += len(value)
                if value[0] & IS_COMMAND:
                    buffered.command += len(value)
            violation = self._violation(buffered)
            if violation:
                self._violations[event.assoc] = violation

    def _violation(self, buffered: _Buffered) -> str:
        """Returns what exceeds a limit; empty where nothing does."""
        count = sum(buffered.messages)
        if buffered.command > MAX_COMMAND_BYTES:
            return f"a command of over {buffered.command} bytes"
        if len(buffered.messages) > _MAX_UNANSWERED:
            return f"{len(buffered.messages)} requests without waiting for an answer"
        if count > self.limits.instance_bytes:
            return f"a data set of over {count} bytes"
        total = sum(sum(each.messages) for each in self._buffered.values())
        if total > self.limits.total_bytes:
            return "a data set while the data sets of all peers fill the memory"
        return ""

    def _start_next_message(self, event: Event) -> None:
        with self._lock:
            buffered = self._buffered.setdefault(event.assoc, _Buffered())
            buffered.command = 0
            buffered.messages.append(0)

    def _release_message(self, event: Event) -> None:
        with self._lock:
            buffered = self._buffered.get(event.assoc)
            if buffered is not None and len(buffered.messages) > 1:
                buffered.messages.popleft()

    def _release_all(self, event: Event) -> None:
        with self._lock:
            self._buffered.pop(event.assoc, None)


def _is_tls(header: bytearray) -> bool:
    """Whether these are the first bytes of a TLS connection; no PDU begins with them."""
    return len(header) == _PDU_HEADER_BYTES and header.startswith(_TLS_START)


@dataclass
class OpenAssociations:
    """The associations that were allowed and have not ended.

    pynetdicom counts every connection, also one that it is about to reject. A sender that connects
    again and again would then keep all others out.
    """

    _open: list["Association"] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admits(self, association: "Association", max_associations: int) -> bool:
        """Whether another association is allowed; if so, it counts until it ends."""
        address = association.requestor.address
        with self._lock:
            self._open = [each for each in self._open if each.is_alive()]
            own = [each for each in self._open if each.requestor.address == address]
            if len(self._open) >= max_associations or len(own) >= _share(max_associations):
                return False
            self._open.append(association)
            return True


def _share(max_associations: int) -> int:
    """Returns what one address may have: four fifths, so that it leaves some to others."""
    return max_associations - max_associations // 5
