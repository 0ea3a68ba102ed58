"""Encodes the response to a C-STORE request that succeeded, which is sent for each image."""

from typing import TYPE_CHECKING

from pynetdicom import _config, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import ITEM_HEADER_BYTES, LAST_COMMAND_FRAGMENT, encoded_command

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import DimsePrimitiveType

_SUCCESS = 0x0000
# Command field of C-STORE-RSP, and the data set type of a message without one (PS3.7 E.1).
_C_STORE_RSP, _NO_DATASET = 0x8001, 0x0101


def send_success_quickly(association: "Association") -> None:
    """Makes an association encode success by `encoded_success`; call it at EVT_CONN_OPEN.

    Handlers of EVT_DIMSE_SENT get no message. Those of pynetdicom's own log need one: where it is
    on, pynetdicom encodes.
    """
    send = association.dimse.send_msg

    def send_msg(primitive: "DimsePrimitiveType", context_id: int) -> None:
        command = encoded_success(primitive) if isinstance(primitive, C_STORE) else None
        max_pdu = association.dimse.maximum_pdu_size
        is_small = max_pdu == 0 or len(command or b"") + ITEM_HEADER_BYTES <= max_pdu
        if command is None or not is_small or _config.LOG_HANDLER_LEVEL != "none":
            send(primitive, context_id)
            return
        evt.trigger(association, evt.EVT_DIMSE_SENT, {"message": None})
        data = P_DATA()
        data.presentation_data_value_list.append((context_id, LAST_COMMAND_FRAGMENT + command))
        association.dul.send_pdu(data)

    association.dimse.send_msg = send_msg  # type: ignore[method-assign] # no other way


def encoded_success(response: C_STORE) -> bytes | None:
    """Returns the command set of a response (PS3.7 9.3.1.2); None if it says more than success."""
    answered, status = response.MessageIDBeingRespondedTo, response.Status
    sop_class, instance = response.AffectedSOPClassUID, response.AffectedSOPInstanceUID
    plain = status == _SUCCESS and response.ErrorComment is None
    if not plain or response.OffendingElement is not None:
        return None
    if answered is None or sop_class is None or instance is None:
        return None
    return encoded_command(
        (
            (0x0002, sop_class),
            (0x0100, _C_STORE_RSP),
            (0x0120, answered),
            (0x0800, _NO_DATASET),
            (0x0900, _SUCCESS),
            (0x1000, instance),
        )
    )
