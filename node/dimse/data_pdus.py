"""Decodes the PDUs that carry data without copying it, and sends those of a message together.

pynetdicom copies each P-DATA-TF PDU four times between the connection and the data set. It sends
each by a system call of its own, and two threads take turns for each.
"""

import socket
import struct
from collections.abc import Sequence
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
# The event of a connection that has ended, and of a P-DATA-TF PDU (PS3.8 9.2.2).
_CONNECTION_CLOSED, _DATA_RECEIVED = "Evt17", "Evt10"


def decode_without_copies(association: "Association") -> None:
    """Makes an association decode P-DATA-TF PDUs by `decoded`; call it at EVT_CONN_OPEN."""
    dul = association.dul
    decode = dul._decode_pdu

    def decode_pdu(bytestream: bytearray) -> "tuple[_PDUType, str]":
        if bytestream[0] != _P_DATA_TF:
            return decode(bytestream)
        pdu = decoded(bytestream)
        evt.trigger(association, evt.EVT_PDU_RECV, {"pdu": pdu})
        return pdu, _DATA_RECEIVED

    dul._decode_pdu = decode_pdu  # type: ignore[method-assign] # no other way


def decoded(content: bytearray) -> P_DATA_TF:
    """Returns an encoded P-DATA-TF PDU whose values are views of `content`.

    Raises:
        ValueError: the length of an item does not match that of the PDU.
    """
    pdu, view, start = P_DATA_TF(), memoryview(content), _HEADER_BYTES
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
