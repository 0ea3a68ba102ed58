"""Decodes the PDUs that carry data without copying it.

pynetdicom copies each P-DATA-TF PDU four times between the connection and the data set.
"""

import struct
from typing import TYPE_CHECKING, cast

from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.pdu import _PDUType

# PS3.8 9.3.1 and table 9-22: type, reserved byte, length.
_P_DATA_TF, _HEADER_BYTES = 0x04, 6
# PS3.8 table 9-23: the length, which counts the context identifier and the value.
_ITEM_LENGTH = struct.Struct(">L")
# The event of a P-DATA-TF PDU (PS3.8 9.2.2).
_DATA_RECEIVED = "Evt10"


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
