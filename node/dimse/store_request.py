"""Decodes the command of a C-STORE request, which is received for each image.

pynetdicom decodes every command set to a data set of pydicom, and copies it to a primitive element
by element. That takes as long as all the rest of its work on an image.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, cast

from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import LAST_COMMAND_FRAGMENT

if TYPE_CHECKING:
    from pynetdicom.association import Association

_ELEMENT = struct.Struct("<HHL")  # group, element, length (PS3.5 7.1.3)
_UNSIGNED_SHORT = struct.Struct("<H")
# Elements of a C-STORE-RQ (PS3.7 table 9.3-1); the group length is not needed.
_GROUP_LENGTH, _SOP_CLASS, _SOP_INSTANCE = 0x0000, 0x0002, 0x1000
_COMMAND_FIELD, _MESSAGE_ID, _PRIORITY, _DATASET_TYPE = 0x0100, 0x0110, 0x0700, 0x0800
_NUMBERS = frozenset({_COMMAND_FIELD, _MESSAGE_ID, _PRIORITY, _DATASET_TYPE})
_EXPECTED = {_SOP_CLASS, _SOP_INSTANCE, *_NUMBERS}
_C_STORE_RQ, _NO_DATASET = 0x0001, 0x0101
# The bits of a message control header: a command; the last fragment (PS3.8 E.2).
_COMMAND, _LAST = 1, 2


@dataclass(frozen=True)
class StoreCommand:
    """The command of a C-STORE request with a data set."""

    message_id: int
    priority: int
    sop_class_uid: str
    sop_instance_uid: str


def decode_requests_quickly(association: "Association") -> None:
    """Makes an association receive messages as `ReceivedMessage`; call it at EVT_CONN_OPEN."""
    dimse = association.dimse
    receive = dimse.receive_primitive

    def receive_primitive(primitive: P_DATA) -> None:
        if dimse.message is None:
            # pynetdicom, too, gives a message its class once it has been made.
            dimse.message = DIMSEMessage()
            dimse.message.__class__ = ReceivedMessage
        receive(primitive)

    dimse.receive_primitive = receive_primitive  # type: ignore[method-assign] # no other way


class ReceivedMessage(DIMSEMessage):
    """A message that is being received; all but a plain C-STORE request is left to pynetdicom."""

    _command: StoreCommand | None = None

    def decode_msg(self, primitive: P_DATA, assoc: "Association | None" = None) -> bool:
        """Adds the fragments of a primitive; returns whether the message is complete."""
        values = primitive.presentation_data_value_list
        for number, (context_id, value) in enumerate(values):
            if self._command is None and value[:1] == LAST_COMMAND_FRAGMENT:
                self._command = parsed_command(bytes(value[1:]))
            elif self._command is not None and not value[0] & _COMMAND:
                cast(BytesIO, self.data_set).write(value[1:])
                if value[0] & _LAST:
                    return True
                continue
            if self._command is None or self.context_id is not None:
                return self._leave_to_pynetdicom(values[number:], assoc)
            self.encoded_command_set.write(value[1:])
            self.context_id = context_id
        return False

    def message_to_primitive(self) -> C_STORE:
        """Returns the request."""
        command = self._command
        assert command is not None  # noqa: S101 the message is complete
        request = C_STORE()
        request.MessageID = command.message_id
        request.Priority = command.priority
        request.AffectedSOPClassUID = UID(command.sop_class_uid)
        request.AffectedSOPInstanceUID = UID(command.sop_instance_uid)
        request.DataSet = self.data_set
        request._context_id = self.context_id
        request._dataset_path = None
        request._dataset_file = None
        return request

    def _leave_to_pynetdicom(
        self, values: list[tuple[int, bytes]], association: "Association | None"
    ) -> bool:
        """Becomes a message of pynetdicom, which decodes these values and all further ones."""
        if self._command is None:
            self.__class__ = DIMSEMessage  # type: ignore[assignment] # pynetdicom does the same
        else:
            self.command_set = decode(self.encoded_command_set, True, True)
            self.__class__ = C_STORE_RQ  # type: ignore[assignment] # pynetdicom does the same
        rest = P_DATA()
        rest.presentation_data_value_list.extend(values)
        return DIMSEMessage.decode_msg(self, rest, association)


def parsed_command(content: bytes) -> StoreCommand | None:
    """Returns the command of a C-STORE request; None for all that is not a plain one."""
    if _config.STORE_RECV_CHUNKED_DATASET:
        return None
    elements = _elements(content)
    if elements is None or elements.keys() - {_GROUP_LENGTH} != _EXPECTED:
        return None
    if any(len(elements[element]) != _UNSIGNED_SHORT.size for element in _NUMBERS):
        return None
    numbers = {element: _UNSIGNED_SHORT.unpack(elements[element])[0] for element in _NUMBERS}
    uids = [elements[element].rstrip(b"\0") for element in (_SOP_CLASS, _SOP_INSTANCE)]
    are_uids = all(uid.replace(b".", b"").isdigit() for uid in uids)
    if numbers[_COMMAND_FIELD] != _C_STORE_RQ or numbers[_DATASET_TYPE] == _NO_DATASET:
        return None
    if not are_uids:
        return None
    sop_class_uid, sop_instance_uid = (uid.decode("ascii") for uid in uids)
    return StoreCommand(numbers[_MESSAGE_ID], numbers[_PRIORITY], sop_class_uid, sop_instance_uid)


def _elements(content: bytes) -> dict[int, bytes] | None:
    """Returns the values of a command set; None where it is not a plain one."""
    found: dict[int, bytes] = {}
    start = 0
    while start < len(content):
        if start + _ELEMENT.size > len(content):
            return None
        group, element, length = _ELEMENT.unpack_from(content, start)
        start += _ELEMENT.size
        if group != 0 or element in found or start + length > len(content):
            return None
        found[element] = content[start : start + length]
        start += length
    return found
