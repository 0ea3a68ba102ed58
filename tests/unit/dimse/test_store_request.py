"""A C-STORE request is decoded as pynetdicom decodes it."""

import inspect
import struct
from collections.abc import Sequence

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import encoded_command
from node.dimse.store_request import decode_requests_quickly, parsed_command
from tests.unit.dimse.test_pynetdicom_internals import incompatible

_CT = "1.2.840.10008.5.1.4.1.1.2"
_PLAIN: tuple[tuple[int, int | str], ...] = (
    (0x0002, _CT),
    (0x0100, 0x0001),
    (0x0110, 7),
    (0x0700, 2),
    (0x0800, 0x0000),
    (0x1000, "1.2.345"),
)
_ECHO = ((0x0002, "1.2"), (0x0100, 0x0030), (0x0110, 1), (0x0800, 0x0101))
COMMAND = encoded_command(_PLAIN)
Values = Sequence[tuple[int, bytes]]


def changed(element: int, value: int | str) -> bytes:
    return encoded_command(tuple((each, value if each == element else v) for each, v in _PLAIN))


def received(messages: Sequence[Values], *, quickly: bool) -> list[dict[str, object]]:
    """What the messages in the queue hold after each group of values is received."""
    association = Association(AE(), "acceptor")
    if quickly:
        decode_requests_quickly(association)
    for values in messages:
        primitive = P_DATA()
        primitive.presentation_data_value_list.extend(list(values))
        association.dimse.receive_primitive(primitive)
    found = []
    while not association.dimse.msg_queue.empty():
        context_id, message = association.dimse.msg_queue.get()
        held: dict[str, object] = {"context": context_id, "class": type(message)}
        for name, value in vars(message).items():
            held[name] = value.getvalue() if hasattr(value, "getvalue") else value
        found.append(held)
    while not association.dul.event_queue.empty():
        found.append({"event": association.dul.event_queue.get()})
    return found


DATA = [(1, b"\0abc"), (1, b"\0def"), (1, b"\2gh")]
MESSAGES: dict[str, Sequence[Values]] = {
    "one value in each primitive": [[(1, b"\3" + COMMAND)], *([each] for each in DATA)],
    "all in one primitive": [[(1, b"\3" + COMMAND), *DATA]],
    "two requests": [[(1, b"\3" + COMMAND), *DATA], [(3, b"\3" + COMMAND)], [(3, b"\2x")]],
    "a command in two fragments": [
        [(1, b"\1" + COMMAND[:40])],
        [(1, b"\3" + COMMAND[40:]), *DATA],
    ],
    "a command within the data set": [
        [(1, b"\3" + COMMAND), DATA[0], (1, b"\1" + COMMAND[:20]), DATA[2]]
    ],
    "a second command": [[(1, b"\3" + COMMAND), (5, b"\3" + changed(0x0110, 8)), *DATA]],
    "data before the command": [[DATA[0], (1, b"\3" + COMMAND), DATA[2]]],
    "no data set": [[(1, b"\3" + changed(0x0800, 0x0101))]],
    "another command": [[(1, b"\3" + encoded_command(_ECHO))]],
    "a move originator": [
        [(1, b"\3" + encoded_command((*_PLAIN, (0x1030, "MOVER"), (0x1031, 9)))), *DATA]
    ],
    "an element that is missing": [[(1, b"\3" + encoded_command(_PLAIN[:-1])), *DATA]],
    "a UID in letters": [[(1, b"\3" + changed(0x1000, "letters")), *DATA]],
    "a UID that is too long": [[(1, b"\3" + changed(0x1000, "1." + "2" * 70)), *DATA]],
    "an empty UID": [[(1, b"\3" + changed(0x1000, "")), *DATA]],
    "two UIDs": [[(1, b"\3" + changed(0x1000, "1.2\\1.3")), *DATA]],
    "an unknown priority": [[(1, b"\3" + changed(0x0700, 9)), *DATA]],
    "a UID with a space": [[(1, b"\3" + changed(0x1000, "1.2.34 ")), *DATA]],
    "a UID with a leading zero": [[(1, b"\3" + changed(0x1000, "1.02.34")), *DATA]],
}


@pytest.mark.parametrize("messages", MESSAGES.values(), ids=MESSAGES)
def test_messages_are_those_of_pynetdicom(messages: Sequence[Values]) -> None:
    assert received(messages, quickly=True) == received(messages, quickly=False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        COMMAND[:-1],
        COMMAND[:5],
        COMMAND + COMMAND,
        COMMAND + struct.pack("<HHL", 8, 0, 0),
        changed(0x0100, 0x8001),
        encoded_command((*_PLAIN, (0x0900, 0))),
    ],
)
def test_another_content_is_left_to_pynetdicom(content: bytes) -> None:
    assert parsed_command(content) is None


def test_a_plain_request_is_decoded_here() -> None:
    command = parsed_command(COMMAND)
    assert command is not None
    assert (command.message_id, command.priority) == (7, 2)
    assert (command.sop_class_uid, command.sop_instance_uid) == (_CT, "1.2.345")


def test_pynetdicom_still_receives_as_is_assumed_here() -> None:
    receive = inspect.getsource(DIMSEServiceProvider.receive_primitive)
    assert "self.message = DIMSEMessage()" in receive, incompatible("receive_primitive")
    assert "self.message.decode_msg(primitive, self.assoc)" in receive, incompatible("decode_msg")
    assert "message_to_primitive()" in receive, incompatible("message_to_primitive")
    decode = inspect.getsource(DIMSEMessage.decode_msg)
    assert "self.data_set).write(data[1:])" in decode, incompatible("the data set of a message")
    for name in ("_context_id", "_dataset_path", "_dataset_file"):
        assert hasattr(C_STORE(), name), incompatible(name)
