"""Receives the PDUs that carry data without copying it, and sends those of a message together.

pynetdicom copies each P-DATA-TF PDU four times between the connection and the data set, and hands
it on by two queues and its state machine, whose state does not change. It sends each PDU by a
system call of its own, and two threads take turns for each.
"""

import socket
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem

from node.dimse.tls.connection import TlsConnection

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.pdu import _PDUType

# PS3.8 9.3.1 and table 9-22: type, reserved byte, length.
_P_DATA_TF, _HEADER_BYTES = 0x04, 6
# PS3.8 table 9-23: the length, which counts the context identifier and the value.
_ITEM_LENGTH = struct.Struct(">L")
# The headers of a PDU and of its only item, with the message control header (PS3.8 E.2).
_HEADERS = struct.Struct(">BxLLBB")
# What the length of the item counts besides the data: the context and the message control header.
_ITEM_OVERHEAD = 2
# Buffers of a system call; Linux takes 1024.
_MAX_BUFFERS = 512
# The state in which data is transferred (PS3.8 9.2.1).
_DATA_TRANSFER = "Sta6"
# The event of a connection that has ended, and of a P-DATA-TF PDU (PS3.8 9.2.2).
_CONNECTION_CLOSED, _DATA_RECEIVED = "Evt17", "Evt10"


def decode_without_copies(association: "Association") -> None:
    """Makes an association decode P-DATA-TF PDUs by `decoded`; call it at EVT_CONN_OPEN."""
    dul = association.dul
    decode = dul._decode_pdu

    def decode_pdu(bytestream: bytearray) -> "tuple[_PDUType, str]":
        if bytestream[0] != _P_DATA_TF:
            return decode(bytestream)
        pdu = decoded(bytestream, _HEADER_BYTES)
        evt.trigger(association, evt.EVT_PDU_RECV, {"pdu": pdu})
        return pdu, _DATA_RECEIVED

    dul._decode_pdu = decode_pdu  # type: ignore[method-assign] # no other way


class DataReader:
    """Reads PDUs of an association that carry data, and hands them on at once (PS3.8 DT-2)."""

    def __init__(self, association: "Association") -> None:
        self._association = association

    @property
    def is_in_use(self) -> bool:
        """Whether data is what the peer usually sends in the state of the association."""
        return self._association.dul.state_machine.current_state == _DATA_TRANSFER

    def read(self) -> bool:
        """Reads a PDU; returns whether it was handed on.

        If not, pynetdicom has read it, and has put an event into its queue.
        """
        dul = self._association.dul
        transport = dul.socket
        if transport is None:
            dul._read_pdu_data()
            return False
        receive, parts = transport.recv, list[bytearray | OSError]()
        pdu = _data_pdu(receive, parts)
        if pdu is None:
            # pynetdicom reads the same once more.
            transport.recv = _Again(parts, receive)  # type: ignore[assignment] # no other way
            try:
                dul._read_pdu_data()
            finally:
                transport.recv = receive  # type: ignore[method-assign] # as it was
            return False
        evt.trigger(self._association, evt.EVT_PDU_RECV, {"pdu": pdu})
        self._association.dimse.receive_primitive(pdu.to_primitive())
        return True


def _data_pdu(
    receive: Callable[[int], bytearray], parts: list[bytearray | OSError]
) -> P_DATA_TF | None:
    """Returns the next PDU; None where it carries no data, is damaged or does not arrive.

    Appends what `receive` returned or raised to `parts`.
    """
    try:
        header = receive(_HEADER_BYTES)
        parts.append(header)
        if len(header) < _HEADER_BYTES or header[0] != _P_DATA_TF:
            return None
        length = int.from_bytes(header[2:], "big")
        content = receive(length)
        parts.append(content)
        return decoded(content) if len(content) == length else None
    except OSError as error:
        parts.append(error)
    except ValueError:  # which pynetdicom finds and answers
        pass
    return None


class _Again:
    """Reads what was read already; then reads by `receive`."""

    def __init__(
        self, parts: list[bytearray | OSError], receive: Callable[[int], bytearray]
    ) -> None:
        self._parts = iter(parts)
        self._receive = receive

    def __call__(self, count: int) -> bytearray:
        """Returns `count` bytes, or fewer where the connection has ended."""
        part = next(self._parts, None)
        if isinstance(part, OSError):
            raise part
        return self._receive(count) if part is None else part


def decoded(content: bytearray, start: int = 0) -> P_DATA_TF:
    """Returns a P-DATA-TF PDU whose items begin at `start`, and whose values are views of them.

    Raises:
        ValueError: the length of an item does not match that of the PDU.
    """
    pdu, view = P_DATA_TF(), memoryview(content)
    while start < len(view):
        value = start + _ITEM_LENGTH.size + 1
        if value > len(view):
            raise ValueError("a presentation data value item is cut off")
        end = value - 1 + _ITEM_LENGTH.unpack_from(view, start)[0]
        if not value <= end <= len(view):
            raise ValueError(f"a presentation data value item ends at {end} of {len(view)} bytes")
        item = PresentationDataValueItem()
        item.presentation_context_id = view[value - 1]
        # What reads it writes a part of it to a stream, which takes any buffer.
        item.presentation_data_value = cast("bytes", view[value:end])
        pdu.presentation_data_value_items.append(item)
        start = end
    return pdu


class Fragment(NamedTuple):
    """A presentation data value that is not in one piece: its message control header and its data.

    In a P-DATA primitive, it stands for bytes; see `send_together`.
    """

    control: int
    content: memoryview


def send_together(association: "Association") -> None:
    """Makes an association send the values of a P-DATA primitive in a PDU each, all at once.

    A value may be a `Fragment`. Handlers of EVT_DATA_SENT get no data.
    """
    dul = association.dul
    send = dul._send

    def send_pdu(pdu: "_PDUType") -> None:
        connection = None if dul.socket is None else dul.socket.socket
        if not isinstance(pdu, P_DATA_TF) or connection is None:
            send(pdu)
            return
        try:
            _send_all(connection, encoded_buffers(pdu))
        except (OSError, ValueError):  # as pynetdicom does; a closed TLS connection is no OSError
            dul.event_queue.put(_CONNECTION_CLOSED)
            return
        evt.trigger(association, evt.EVT_DATA_SENT, {"data": b""})
        evt.trigger(association, evt.EVT_PDU_SENT, {"pdu": pdu})

    dul._send = send_pdu  # type: ignore[method-assign] # no other way


def encoded_buffers(pdu: P_DATA_TF) -> list[memoryview]:
    """Returns PDUs with one of the values each; headers and data are buffers of their own."""
    buffers: list[memoryview] = []
    for item in pdu.presentation_data_value_items:
        value: object = item.presentation_data_value
        if not isinstance(value, Fragment):
            content = memoryview(item.presentation_data_value or b"\0")
            value = Fragment(content[0], content[1:])
        length = len(value.content) + _ITEM_OVERHEAD
        headers = _HEADERS.pack(
            _P_DATA_TF,
            length + _ITEM_LENGTH.size,
            length,
            item.presentation_context_id or 0,
            value.control,
        )
        buffers += [memoryview(headers), value.content]
    return buffers


def _send_all(connection: socket.socket, buffers: Sequence[memoryview]) -> None:
    """Sends the buffers one after the other.

    Raises:
        OSError: the connection has ended.
    """
    for start in range(0, len(buffers), _MAX_BUFFERS):
        group = buffers[start : start + _MAX_BUFFERS]
        if isinstance(connection, TlsConnection):
            connection.sendall(b"".join(group))
            continue
        sent = connection.sendmsg(group)
        for buffer in group:
            # Nothing is left of a buffer that was sent.
            if sent < len(buffer):
                connection.sendall(buffer[sent:])
            sent = max(0, sent - len(buffer))
