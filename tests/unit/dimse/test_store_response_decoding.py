"""The usual responses to C-STORE are decoded as pynetdicom decodes them; it decodes the others."""

import inspect

import pytest
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import decoded_command, encoded_command
from node.dimse.store_response import decode_answers_quickly, store_answer
from tests.unit.dimse.test_pynetdicom_internals import incompatible

_CT = "1.2.840.10008.5.1.4.1.1.2"
_CONTEXT = 3


def _response(status: int = 0, instance: str = "1.2.3", comment: str | None = None) -> C_STORE:
    response = C_STORE()
    response.MessageIDBeingRespondedTo, response.Status = 7, status
    response.AffectedSOPClassUID, response.AffectedSOPInstanceUID = _CT, instance
    if comment is not None:
        response.ErrorComment = comment  # type: ignore[assignment] # None in its constructor
    return response


def _encoded(primitive: C_STORE, max_pdu: int = 16384) -> list[P_DATA]:
    message = C_STORE_RSP()
    message.primitive_to_message(primitive)
    return list(message.encode_msg(_CONTEXT, max_pdu))


def _data(*values: bytes) -> P_DATA:
    data = P_DATA()
    data.presentation_data_value_list.extend((_CONTEXT, value) for value in values)
    return data


@pytest.fixture
def association(monkeypatch: pytest.MonkeyPatch) -> Association:
    """An association that decodes quickly."""
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "none")
    made = Association(AE(), "requestor")
    decode_answers_quickly(made)
    return made


def _received(association: Association, sent: list[P_DATA]) -> list[dict[str, object]]:
    for each in sent:
        association.dimse.receive_primitive(each)
    names = (
        *("MessageID", "MessageIDBeingRespondedTo", "AffectedSOPClassUID", "Status", "msg_type"),
        *("AffectedSOPInstanceUID", "ErrorComment", "OffendingElement", "DataSet", "Priority"),
        *("is_valid_request", "is_valid_response", "_context_id", "_dataset_file"),
    )
    found = []
    for context, primitive in association.dimse.msg_queue.queue:
        content = {name: getattr(primitive, name) for name in names}
        types = [type(value) for value in content.values()]
        found.append({**content, "context": context, "types": types})
    return found


def _assert_same(association: Association, sent: list[P_DATA]) -> None:
    expected = _received(Association(AE(), "requestor"), sent)
    assert len(expected) == 1
    assert _received(association, sent) == expected


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1." + "2" * 62])
@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xB000])
def test_a_response_is_that_of_pynetdicom(
    association: Association, instance: str, status: int
) -> None:
    sent = _encoded(_response(status, instance))
    assert store_answer(sent[0]) is not None
    _assert_same(association, sent)


def test_a_response_with_more_elements_is_left_to_pynetdicom(association: Association) -> None:
    sent = _encoded(_response(0xB000, comment="coerced"))
    assert store_answer(sent[0]) is None
    _assert_same(association, sent)


def test_a_response_in_pieces_is_left_to_pynetdicom(association: Association) -> None:
    sent = _encoded(_response(), 64)
    assert len(sent) > 1
    assert store_answer(sent[0]) is None
    _assert_same(association, sent)


def test_a_response_in_two_values_is_left_to_pynetdicom(association: Association) -> None:
    values = [v for each in _encoded(_response(), 64) for _, v in each.presentation_data_value_list]
    sent = [_data(*values)]
    assert store_answer(sent[0]) is None
    _assert_same(association, sent)


def test_responses_come_one_after_the_other(association: Association) -> None:
    sent = [*_encoded(_response(instance="1.2.3")), *_encoded(_response(instance="1.2.4"))]
    received = _received(association, sent)
    assert [each["AffectedSOPInstanceUID"] for each in received] == ["1.2.3", "1.2.4"]


def _command(**changes: int | str) -> bytes:
    values: dict[str, int | str] = {
        "sop_class": _CT,
        "field": 0x8001,
        "message": 5,
        "dataset": 0x0101,
        "status": 0,
        "instance": "1.2.3",
        **changes,
    }
    tags = (0x0002, 0x0100, 0x0120, 0x0800, 0x0900, 0x1000)
    return encoded_command(list(zip(tags, values.values(), strict=True)))


@pytest.mark.parametrize(
    "change",
    [
        {"sop_class": "1.02.3"},
        {"sop_class": ""},
        {"instance": "1.2.x"},
        {"instance": "1." + "2" * 63},
        {"field": 0x8030},
        {"status": "0000"},
        {"dataset": 1},
    ],
    ids=str,
)
def test_a_response_with_an_unusual_value_is_left_to_pynetdicom(
    change: dict[str, int | str],
) -> None:
    assert store_answer(_data(b"\x03" + _command())) is not None
    assert store_answer(_data(b"\x03" + _command(**change))) is None


def test_what_is_no_command_set_is_not_decoded() -> None:
    command = _command()
    assert decoded_command(command) is not None
    for end in range(1, len(command)):
        assert store_answer(_data(b"\x03" + command[:end])) is None
    swapped = command[:12] + command[-14:] + command[12:-14]
    assert decoded_command(swapped) is None
    assert decoded_command(b"\x02" + command[1:]) is None
    assert store_answer(_data(b"\x03")) is None


def test_other_messages_are_left_to_pynetdicom(association: Association) -> None:
    echo = C_ECHO()
    echo.MessageIDBeingRespondedTo, echo.Status = 1, 0
    association.dimse.send_msg(echo, 1)
    sent = association.dul.to_provider_queue.get_nowait()
    assert isinstance(sent, P_DATA)
    association.dimse.receive_primitive(sent)
    ((_, received),) = association.dimse.msg_queue.queue
    assert isinstance(received, C_ECHO)


def test_each_response_is_reported_once(association: Association) -> None:
    reported: list[str] = []

    def keep(event: Event) -> None:
        reported.append(event.event.name)

    association.bind(evt.EVT_DIMSE_RECV, keep)
    _received(association, _encoded(_response()) * 2)
    assert reported == ["EVT_DIMSE_RECV"] * 2


def test_the_log_of_pynetdicom_gets_the_whole_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "standard")
    association = Association(AE(), "requestor")
    decode_answers_quickly(association)
    messages: list[object] = []

    def keep(event: Event) -> None:
        messages.append(event.message)

    association.bind(evt.EVT_DIMSE_RECV, keep)
    _received(association, _encoded(_response()))
    assert [type(each) for each in messages] == [C_STORE_RSP]


def test_pynetdicom_receives_by_the_function_that_is_replaced() -> None:
    parameters = list(inspect.signature(DIMSEServiceProvider.receive_primitive).parameters)
    assert parameters == ["self", "primitive"], incompatible("receive_primitive has changed")
    source = inspect.getsource(DIMSEServiceProvider.receive_primitive)
    for text in ("self.message is None", "self.message.message_to_primitive()"):
        assert text in source, incompatible(f"receive_primitive has no {text}")
