"""Decodes the commands of C-STORE, which arrive for each image.

pynetdicom decodes a command to a data set of pydicom and copies each element of it. For an image,
that takes longer than all other steps of the thread that exchanges PDUs.
"""

import re
from typing import TYPE_CHECKING, cast

from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE

from node.dimse.command_sets import LAST_COMMAND_FRAGMENT, decoded_command

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import DimsePrimitiveType
    from pynetdicom.pdu_primitives import P_DATA

# Elements of the group 0000 (PS3.7 E.1), and those of a request and of a response that every peer
# sends.
_SOP_CLASS, _FIELD, _MESSAGE_ID, _ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATASET_TYPE, _STATUS, _SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x1000
_GROUP_LENGTH = 0x0000
_REQUEST = {
    *(_GROUP_LENGTH, _SOP_CLASS, _FIELD, _MESSAGE_ID),
    *(_PRIORITY, _DATASET_TYPE, _SOP_INSTANCE),
}
_RESPONSE = {
    *(_GROUP_LENGTH, _SOP_CLASS, _FIELD, _ANSWERED_ID),
    *(_DATASET_TYPE, _STATUS, _SOP_INSTANCE),
}
# Values of the command field, of the data set type without a data set, and of the priority.
_C_STORE_RQ, _C_STORE_RSP, _NO_DATASET = 0x0001, 0x8001, 0x0101
_PRIORITIES = {0, 1, 2}
# What is no valid UID is left to pynetdicom, which decides what to do with it.
_UID = re.compile(rb"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_MAX_UID_BYTES = 64


class _Request(C_STORE_RQ):
    """A request whose command is decoded to `primitive`; its data set follows."""

    primitive: C_STORE

    def message_to_primitive(self) -> "DimsePrimitiveType":
        """Returns the request, with the data set that has arrived."""
        self.primitive.DataSet = self.data_set
        self.primitive._context_id = self.context_id
        return self.primitive


class _Response(C_STORE_RSP):
    """A response whose command is decoded to `primitive`; it is complete."""

    primitive: C_STORE

    def decode_msg(self, primitive: "P_DATA", assoc: "Association | None" = None) -> bool:
        """Returns that nothing follows."""
        return True

    def message_to_primitive(self) -> "DimsePrimitiveType":
        """Returns the response."""
        self.primitive._context_id = self.context_id
        return self.primitive


def decode_store_quickly(association: "Association") -> None:
    """Makes an association decode the usual commands of C-STORE; call it at EVT_CONN_OPEN.

    pynetdicom decodes all others. Handlers of EVT_DIMSE_RECV get a message without command set.
    Those of pynetdicom's own log need one: where it is on, pynetdicom decodes.
    """
    dimse = association.dimse
    receive = dimse.receive_primitive

    def receive_primitive(primitive: "P_DATA") -> None:
        if dimse.message is None and _config.LOG_HANDLER_LEVEL == "none":
            dimse.message = store_message(primitive)
            if isinstance(dimse.message, _Request):
                return  # its data set comes with the next primitives
        receive(primitive)

    dimse.receive_primitive = receive_primitive  # type: ignore[method-assign] # no other way


def store_message(data: "P_DATA") -> DIMSEMessage | None:
    """Returns the C-STORE message that begins with `data`; None if pynetdicom is to decode it."""
    values = data.presentation_data_value_list
    if len(values) != 1 or bytes(values[0][1][:1]) != LAST_COMMAND_FRAGMENT:
        return None
    context_id, command = values[0][0], bytes(values[0][1][1:])
    elements = decoded_command(command) or {}
    primitive: C_STORE | None = None
    kind: type[_Request | _Response] = _Request
    if elements.keys() == _REQUEST:
        primitive = _request(elements)
    elif elements.keys() == _RESPONSE:
        primitive, kind = _response(elements), _Response
    if primitive is None:
        return None
    # The constructor of the kind would fill a command set with elements, which takes its time.
    message = DIMSEMessage()
    message.__class__ = kind
    message = cast("_Request | _Response", message)
    message.primitive, message.context_id = primitive, context_id
    # A peer that sends another command within the data set gets what pynetdicom makes of both.
    message.encoded_command_set.write(command)
    return message


def _request(elements: dict[int, bytes]) -> C_STORE | None:
    """Returns the request; None if a value is not as it should be."""
    if _number(elements, _FIELD) != _C_STORE_RQ:
        return None
    message_id, priority = _number(elements, _MESSAGE_ID), _number(elements, _PRIORITY)
    dataset_type = _number(elements, _DATASET_TYPE)
    uids = _uids(elements)
    if uids is None or message_id is None or priority not in _PRIORITIES:
        return None
    if dataset_type is None or dataset_type == _NO_DATASET:
        return None
    request = C_STORE()
    request._message_id, request._priority = message_id, priority
    _set_uids(request, uids)
    return request


def _response(elements: dict[int, bytes]) -> C_STORE | None:
    """Returns the response; None if a value is not as it should be."""
    if _number(elements, _FIELD) != _C_STORE_RSP:
        return None
    answered, status = _number(elements, _ANSWERED_ID), _number(elements, _STATUS)
    uids = _uids(elements)
    if uids is None or answered is None or status is None:
        return None
    if _number(elements, _DATASET_TYPE) != _NO_DATASET:
        return None
    response = C_STORE()
    response._message_id_being_responded_to = answered
    response.Status = status
    _set_uids(response, uids)
    return response


def _number(elements: dict[int, bytes], element: int) -> int | None:
    value = elements[element]
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _uids(elements: dict[int, bytes]) -> tuple[UID, UID] | None:
    """Returns the UIDs of SOP class and instance; None where one is not valid."""
    texts = [elements[each].rstrip(b"\0") for each in (_SOP_CLASS, _SOP_INSTANCE)]
    if not all(len(each) <= _MAX_UID_BYTES and _UID.fullmatch(each) for each in texts):
        return None
    # They are checked already.
    sop_class, instance = (UID(each.decode("ascii"), validation_mode=0) for each in texts)
    return sop_class, instance


def _set_uids(primitive: C_STORE, uids: tuple[UID, UID]) -> None:
    primitive._affected_sop_class_uid, primitive._affected_sop_instance_uid = uids
