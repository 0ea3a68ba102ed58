"""The usual commands of C-STORE are decoded as pynetdicom decodes them; it decodes the others."""

import inspect
from collections.abc import Callable
from io import BytesIO

import pytest
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA

from node.dimse.command_sets import decoded_command, encoded_command
from node.dimse.store_commands import decode_store_quickly, store_message
from tests.unit.dimse.test_pynetdicom_internals import incompatible

_CT = "1.2.840.10008.5.1.4.1.1.2"
_DATASET = bytes(range(256)) * 3
_CONTEXT = 3


def _request(instance: str = "1.2.34") -> C_STORE:
    request = C_STORE()
    request.MessageID, request.Priority = 9, 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = _CT, instance
    request.DataSet = BytesIO(_DATASET)
    return request


def _response(status: int = 0, comment: str | None = None) -> C_STORE:
    response = C_STORE()
    response.MessageIDBeingRespondedTo, response.Status = 7, status
    response.AffectedSOPClassUID, response.AffectedSOPInstanceUID = _CT, "1.2.3"
    if comment is not None:
        response.ErrorComment = comment  # type: ignore[assignment] # None in its constructor
    return response


def _encoded(primitive: C_STORE, max_pdu: int = 16384) -> list[P_DATA]:
    message = C_STORE_RQ() if primitive.MessageID is not None else C_STORE_RSP()
    message.primitive_to_message(primitive)
    return list(message.encode_msg(_CONTEXT, max_pdu))


def _values(sent: list[P_DATA]) -> list[bytes]:
    return [value for each in sent for _, value in each.presentation_data_value_list]


def _data(*values: bytes) -> P_DATA:
    data = P_DATA()
    data.presentation_data_value_list.extend((_CONTEXT, value) for value in values)
    return data


@pytest.fixture
def association(monkeypatch: pytest.MonkeyPatch) -> Association:
    """An association that decodes quickly."""
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "none")
    made = Association(AE(), "acceptor")
    decode_store_quickly(made)
    return made


def _received(association: Association, sent: list[P_DATA]) -> list[tuple[int, C_STORE]]:
    for each in sent:
        association.dimse.receive_primitive(each)
    queue = association.dimse.msg_queue.queue
    return [(context, primitive) for context, primitive in queue]


def _by_pynetdicom(sent: list[P_DATA]) -> list[tuple[int, C_STORE]]:
    return _received(Association(AE(), "acceptor"), sent)


def _content(primitive: C_STORE) -> dict[str, object]:
    names = (
        *("MessageID", "MessageIDBeingRespondedTo", "AffectedSOPClassUID", "Priority", "Status"),
        *("AffectedSOPInstanceUID", "MoveOriginatorMessageID", "ErrorComment", "OffendingElement"),
        *("is_valid_request", "is_valid_response", "_context_id", "_dataset_file", "msg_type"),
        *("MoveOriginatorApplicationEntityTitle", "_dataset_path"),
    )
    content = {name: getattr(primitive, name) for name in names}
    dataset = primitive.DataSet
    return {**content, "types": [type(value) for value in content.values()]} | {
        "dataset": b"" if dataset is None else dataset.getvalue()
    }


def _assert_same(association: Association, sent: list[P_DATA]) -> None:
    expected = [(context, _content(each)) for context, each in _by_pynetdicom(sent)]
    assert len(expected) == 1
    assert [(context, _content(each)) for context, each in _received(association, sent)] == expected


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1." + "2" * 62])
@pytest.mark.parametrize("max_pdu", [512, 16384])
def test_a_request_is_that_of_pynetdicom(
    association: Association, instance: str, max_pdu: int
) -> None:
    sent = _encoded(_request(instance), max_pdu)
    assert store_message(sent[0]) is not None
    _assert_same(association, sent)


@pytest.mark.parametrize("status", [0x0000, 0xA700, 0xB000])
def test_a_response_is_that_of_pynetdicom(association: Association, status: int) -> None:
    sent = _encoded(_response(status))
    assert store_message(sent[0]) is not None
    _assert_same(association, sent)


def _moved() -> C_STORE:
    request = _request()
    request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = "ARCHIVE", 4
    return request


@pytest.mark.parametrize("make", [_moved, lambda: _response(0xB000, "coerced")])
def test_a_command_with_more_elements_is_left_to_pynetdicom(
    association: Association, make: Callable[[], C_STORE]
) -> None:
    sent = _encoded(make())
    assert store_message(sent[0]) is None
    _assert_same(association, sent)


def test_a_command_in_pieces_is_left_to_pynetdicom(association: Association) -> None:
    sent = _encoded(_request(), 64)
    assert store_message(sent[0]) is None
    _assert_same(association, sent)


def test_a_command_and_its_data_set_in_one_pdu_are_left_to_pynetdicom(
    association: Association,
) -> None:
    values = [
        value for each in _encoded(_request()) for _, value in each.presentation_data_value_list
    ]
    sent = [_data(*values)]
    assert store_message(sent[0]) is None
    _assert_same(association, sent)


def test_several_pieces_of_a_data_set_in_one_pdu_are_joined(association: Association) -> None:
    command, *rest = _encoded(_request(), 512)
    values = _values(rest)
    assert len(values) > 1
    _assert_same(association, [command, _data(*values)])


def test_requests_after_another_are_told_apart(association: Association) -> None:
    first, second = _request("1.2.3"), _request("1.2.4")
    received = _received(association, [*_encoded(first), *_encoded(second)])
    assert [each.AffectedSOPInstanceUID for _, each in received] == ["1.2.3", "1.2.4"]
    assert [each.DataSet and each.DataSet.getvalue() for _, each in received] == [_DATASET] * 2


def test_a_command_within_the_data_set_has_the_effect_that_it_has_in_pynetdicom(
    association: Association,
) -> None:
    command, data = _encoded(_request())
    _, other = _encoded(_request("1.2.5"))[0].presentation_data_value_list[0]
    _assert_same(association, [command, _data(other), data])


def _command(**changes: int | str) -> bytes:
    values: dict[str, int | str] = {
        "sop_class": _CT,
        "field": 1,
        "message": 5,
        "priority": 2,
        "dataset": 1,
        "instance": "1.2.3",
        **changes,
    }
    tags = (0x0002, 0x0100, 0x0110, 0x0700, 0x0800, 0x1000)
    return encoded_command(list(zip(tags, values.values(), strict=True)))


@pytest.mark.parametrize(
    "change",
    [
        {"sop_class": "1.02.3"},
        {"sop_class": ""},
        {"instance": "1.2.x"},
        {"instance": "1." + "2" * 63},
        {"field": 0x0020},
        {"priority": 3},
        {"dataset": 0x0101},
    ],
    ids=str,
)
def test_a_request_with_an_unusual_value_is_left_to_pynetdicom(
    change: dict[str, int | str],
) -> None:
    assert store_message(_data(b"\x03" + _command())) is not None
    assert store_message(_data(b"\x03" + _command(**change))) is None


def test_what_is_no_command_set_is_not_decoded() -> None:
    command = _command()
    assert decoded_command(command) is not None
    for end in range(1, len(command)):
        assert store_message(_data(b"\x03" + command[:end])) is None
    swapped = command[:12] + command[-14:] + command[12:-14]
    assert decoded_command(swapped) is None
    assert decoded_command(b"\x02" + command[1:]) is None
    assert store_message(_data(b"\x03")) is None


def test_other_messages_are_left_to_pynetdicom(association: Association) -> None:
    echo = C_ECHO()
    echo.MessageID = 1
    association.dimse.send_msg(echo, 1)
    sent = association.dul.to_provider_queue.get_nowait()
    assert isinstance(sent, P_DATA)
    association.dimse.receive_primitive(sent)
    ((_, received),) = association.dimse.msg_queue.queue
    assert isinstance(received, C_ECHO)


def test_each_message_is_reported_once(association: Association) -> None:
    reported: list[str] = []

    def keep(event: Event) -> None:
        reported.append(event.event.name)

    association.bind(evt.EVT_DIMSE_RECV, keep)
    _received(association, [*_encoded(_request(), 512), *_encoded(_response())])
    assert reported == ["EVT_DIMSE_RECV"] * 2


def test_the_log_of_pynetdicom_gets_the_whole_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "standard")
    association = Association(AE(), "acceptor")
    decode_store_quickly(association)
    messages: list[object] = []

    def keep(event: Event) -> None:
        messages.append(event.message)

    association.bind(evt.EVT_DIMSE_RECV, keep)
    _received(association, _encoded(_request()))
    assert [type(each) for each in messages] == [C_STORE_RQ]


def test_pynetdicom_receives_by_the_function_that_is_replaced() -> None:
    parameters = list(inspect.signature(DIMSEServiceProvider.receive_primitive).parameters)
    assert parameters == ["self", "primitive"], incompatible("receive_primitive has changed")
    source = inspect.getsource(DIMSEServiceProvider.receive_primitive)
    for text in ("self.message is None", "self.message.message_to_primitive()"):
        assert text in source, incompatible(f"receive_primitive has no {text}")
