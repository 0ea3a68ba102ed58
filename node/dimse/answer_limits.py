"""Limits on what a peer, to which the node connects, may make it buffer or wait for.

pynetdicom reads a PDU of any length, buffers a message of any number of PDUs and any number of
messages, and waits without limit for the rest of a PDU.
"""

import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF

from node.dimse.pynetdicom_internals import (
    awaits_close,
    connection_of,
    replace_receive,
    waiting_messages,
)
from node.domain.errors import Transient

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOG = structlog.get_logger()
# An A-ASSOCIATE-AC for 128 contexts with their transfer syntaxes is shorter, and so is every P-DATA
# of a peer that keeps to the maximum that the node states.
_MAX_PDU_BYTES = 1 << 18
# From the first byte of a PDU to its last.
_PDU_SECONDS = 60.0
# A command set has some hundred bytes. Decoded, it takes a hundred times as much memory.
MAX_COMMAND_BYTES = 1 << 16
# A match of a query has some attributes; a report on storage commitment names 100,000 instances.
MAX_ANSWER_BYTES = 32 << 20
# The largest multi-frame CT, which a peer sends by C-GET.
MAX_INSTANCE_BYTES = 2 << 30
# The lowest bit of a message control header (PS3.8 E.2).
IS_COMMAND = 1


@dataclass
class AnswerLimits:
    """Ends the association with a peer that exceeds a limit; `violation` says what it sent.

    `message_bytes` is the limit of one data set, and of the messages that nobody has read yet.
    `pdu_s` is the time from the first byte of a PDU to its last.
    """

    message_bytes: int = MAX_ANSWER_BYTES
    pdu_s: float = _PDU_SECONDS
    violation: str = ""
    _command: int = 0  # bytes of the command that is being received
    _message: int = 0  # bytes of the message that is being received
    _waiting: deque[int] = field(default_factory=deque)  # bytes of messages that nobody has read

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """The handlers of the association's events."""
        return [
            (evt.EVT_CONN_OPEN, self._limit_receive),
            (evt.EVT_PDU_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._start_next_message),
        ]

    def check(self, remote: object, error: Exception | None = None) -> None:
        """Says why an association with `remote` has ended, of which `error` is the consequence.

        Raises:
            Transient: the remote has exceeded a limit.
        """
        if self.violation:
            text = f"{remote} sent {self.violation}, and the node ended the association"
            raise Transient(f"{text}: check what answers at this address") from error

    def _limit_receive(self, event: Event) -> None:
        association = event.assoc
        connection = connection_of(association)
        if connection is None:
            return

        def receive(count: int) -> bytearray:
            """Returns `count` bytes; fewer where the peer has closed the connection."""
            if awaits_close(association):
                # As if the peer had closed it: otherwise each further piece would be answered.
                return bytearray()
            self._enforce(association, count)
            before = connection.gettimeout()
            try:
                return read_within(connection, count, self.pdu_s)
            except TimeoutError as error:
                self.violation = f"a part of a PDU, and no more within {self.pdu_s:g} s"
                raise self._ended(association) from error
            finally:
                connection.settimeout(before)

        replace_receive(association, receive)

    def _enforce(self, association: "Association", count: int) -> None:
        """Ends the connection where a limit is exceeded."""
        while len(self._waiting) > waiting_messages(association):
            self._waiting.popleft()
        if count > _MAX_PDU_BYTES:
            self.violation = f"a PDU of {count} bytes"
        elif sum(self._waiting) > self.message_bytes:
            self.violation = "messages faster than the node can read them"
        if self.violation:
            raise self._ended(association)

    def _ended(self, association: "Association") -> ConnectionAbortedError:
        """Logs the violation; returns the error that ends the connection."""
        _LOG.warning(
            "association.limit_exceeded",
            address=association.acceptor.address,
            sent=self.violation,
        )
        return ConnectionAbortedError(self.violation)

    def _count(self, event: Event) -> None:
        """Counts the bytes of a PDU."""
        if not isinstance(event.pdu, P_DATA_TF):
            return
        for item in event.pdu.presentation_data_value_items:
            value = item.presentation_data_value or b"\0"
            self._message += len(value)
            if value[0] & IS_COMMAND:
                self._command += len(value)
        if self._command > MAX_COMMAND_BYTES:
            self.violation = f"a command of over {self._command} bytes"
        elif self._message > self.message_bytes:
            self.violation = f"a data set of over {self._message} bytes"

    def _start_next_message(self, event: Event) -> None:
        self._waiting.append(self._message)
        self._command = self._message = 0


def read_within(connection: socket.socket, count: int, timeout_s: float) -> bytearray:
    """Returns `count` bytes; fewer where the peer has closed the connection.

    The timeout of the connection is any afterwards.

    Raises:
        TimeoutError: they did not arrive within `timeout_s`.
    """
    content, received = bytearray(count), 0
    deadline = time.monotonic() + timeout_s
    with memoryview(content) as view:
        while received < count:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            piece = connection.recv_into(view[received:], count - received)
            if not piece:
                break
            received += piece
    del content[received:]
    return content
