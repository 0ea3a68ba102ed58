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
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet

import structlog
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF

from node.dimse.answer_limits import (
    IS_COMMAND,
    MAX_COMMAND_BYTES,
    MAX_INSTANCE_BYTES,
    read_within,
)
from node.dimse.pynetdicom_internals import awaits_close, connection_of, replace_receive
from node.domain.connections.rejected_connection import ListenerRejection
from pacs_listener.processes.shared_limits import SharedLimits
from pacs_listener.tls_handshakes import TLS_HANDSHAKE

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


@dataclass
class _Buffered:
    """Numbers of bytes that one association has sent and that are in memory."""

    command: int = 0  # of the command set that is being received
    # Of each message without a response; the last is still being received.
    messages: deque[int] = field(default_factory=lambda: deque([0]))


@dataclass
class LimitEnforcer:
    """Closes the connections of peers that exceed the limits.

    `reject` counts a peer that uses TLS on the port without it. The memory is that of all listener
    processes.
    """

    limits: Limits
    reject: Callable[["Association", ListenerRejection], None]
    shared: SharedLimits
    _buffered: "WeakKeyDictionary[Association, _Buffered]" = field(
        default_factory=WeakKeyDictionary
    )
    _violations: "WeakKeyDictionary[Association, str]" = field(default_factory=WeakKeyDictionary)
    _connections: "WeakSet[Association]" = field(default_factory=WeakSet)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of an association's events."""
        return [
            (evt.EVT_CONN_OPEN, self._count_connection),
            (evt.EVT_CONN_OPEN, self._limit_receive),
            (evt.EVT_PDU_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._start_next_message),
            (evt.EVT_DIMSE_SENT, self._release_message),
            (evt.EVT_CONN_CLOSE, self._release_all),
        ]

    def _count_connection(self, event: Event) -> None:
        with self._lock:
            self._connections.add(event.assoc)
            self.shared.set_connections(len(self._connections))

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
        self.shared.set_buffered_bytes(sum(sum(each.messages) for each in self._buffered.values()))
        if self.shared.buffered_bytes > self.limits.total_bytes:
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
            self._connections.discard(event.assoc)
            self.shared.set_connections(len(self._connections))
            self.shared.set_buffered_bytes(
                sum(sum(each.messages) for each in self._buffered.values())
            )


def _is_tls(header: bytearray) -> bool:
    """Whether these are the first bytes of a TLS connection; no PDU begins with them."""
    return len(header) == _PDU_HEADER_BYTES and header.startswith(_TLS_START)
