"""Encodes and decodes the responses to C-STORE requests, one of which is sent for each image.

pynetdicom encodes and decodes a command by data sets of pydicom, and copies each element.
"""

import re
from typing import TYPE_CHECKING, cast

from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.dimse_messages import C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import (
    ITEM_HEADER_BYTES,
    LAST_COMMAND_FRAGMENT,
    decoded_command,
    encoded_command,
)

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import DimsePrimitiveType

_SUCCESS = 0x0000
# Command field of C-STORE-RSP, and the data set type of a message without one (PS3.7 E.1).
_C_STORE_RSP, _NO_DATASET = 0x8001, 0x0101
# Elements of the group 0000 (PS3.7 E.1): those of a response that has no more to say.
_GROUP_LENGTH, _SOP_CLASS, _FIELD, _ANSWERED_ID = 0x0000, 0x0002, 0x0100, 0x0120
_DATASET_TYPE, _STATUS, _SOP_INSTANCE = 0x0800, 0x0900, 0x1000
_ELEMENTS = {
    *(_GROUP_LENGTH, _SOP_CLASS, _FIELD, _ANSWERED_ID),
    *(_DATASET_TYPE, _STATUS, _SOP_INSTANCE),
}
# What is no valid UID is left to pynetdicom, which decides what to do with it.
_UID = re.compile(rb"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_MAX_UID_BYTES = 64


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
            (_SOP_CLASS, sop_class),
            (_FIELD, _C_STORE_RSP),
            (_ANSWERED_ID, answered),
            (_DATASET_TYPE, _NO_DATASET),
            (_STATUS, _SUCCESS),
            (_SOP_INSTANCE, instance),
        )
    )


class _Answer(C_STORE_RSP):
    """A response whose command is decoded to `primitive`; it is complete."""

    primitive: C_STORE

    def decode_msg(self, primitive: "P_DATA", assoc: "Association | None" = None) -> bool:
        """Returns that nothing follows."""
        return True

    def message_to_primitive(self) -> "DimsePrimitiveType":
        """Returns the response."""
        self.primitive._context_id = self.context_id
        return self.primitive


def decode_answers_quickly(association: "Association") -> None:
    """Makes an association decode the usual responses to C-STORE requests.

    pynetdicom decodes all others. Handlers of EVT_DIMSE_RECV get a message without command set.
    Those of pynetdicom's own log need one: where it is on, pynetdicom decodes.
    """
    dimse = association.dimse
    receive = dimse.receive_primitive

    def receive_primitive(primitive: "P_DATA") -> None:
        if dimse.message is None and _config.LOG_HANDLER_LEVEL == "none":
            dimse.message = store_answer(primitive)
        receive(primitive)

    dimse.receive_primitive = receive_primitive  # type: ignore[method-assign] # no other way


def store_answer(data: "P_DATA") -> DIMSEMessage | None:
    """Returns the C-STORE response in `data`; None if pynetdicom is to decode it."""
    values = data.presentation_data_value_list
    if len(values) != 1 or bytes(values[0][1][:1]) != LAST_COMMAND_FRAGMENT:
        return None
    context_id, command = values[0][0], bytes(values[0][1][1:])
    primitive = _response(decoded_command(command) or {})
    if primitive is None:
        return None
    # The constructor of a response would fill a command set with elements, which takes its time.
    message = DIMSEMessage()
    message.__class__ = _Answer
    answer = cast("_Answer", message)
    answer.primitive, answer.context_id = primitive, context_id
    return answer


def _response(elements: dict[int, bytes]) -> C_STORE | None:
    """Returns the response; None if an element or value is not as it usually is."""
    if elements.keys() != _ELEMENTS or _number(elements, _FIELD) != _C_STORE_RSP:
        return None
    answered, status = _number(elements, _ANSWERED_ID), _number(elements, _STATUS)
    uids = [elements[each].rstrip(b"\0") for each in (_SOP_CLASS, _SOP_INSTANCE)]
    if answered is None or status is None or _number(elements, _DATASET_TYPE) != _NO_DATASET:
        return None
    if not all(len(each) <= _MAX_UID_BYTES and _UID.fullmatch(each) for each in uids):
        return None
    response = C_STORE()
    response._message_id_being_responded_to, response.Status = answered, status
    # The UIDs are checked already.
    response._affected_sop_class_uid, response._affected_sop_instance_uid = (
        UID(each.decode("ascii"), validation_mode=0) for each in uids
    )
    return response


def _number(elements: dict[int, bytes], element: int) -> int | None:
    value = elements[element]
    return int.from_bytes(value, "little") if len(value) == 2 else None
