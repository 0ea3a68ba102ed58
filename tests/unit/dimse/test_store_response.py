"""The response to a C-STORE request that succeeded is the one of pynetdicom."""

import inspect
from typing import cast

import pytest
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass

from node.dimse.store_response import encoded_success, send_success_quickly
from tests.unit.dimse.test_pynetdicom_internals import incompatible

_CT = "1.2.840.10008.5.1.4.1.1.2"


def _response(status: int = 0, instance: str = "1.2.3") -> C_STORE:
    response = C_STORE()
    response.MessageID = response.MessageIDBeingRespondedTo = 7
    response.AffectedSOPClassUID, response.AffectedSOPInstanceUID = _CT, instance
    response.Status = status
    return response


def _by_pynetdicom(response: C_STORE, max_pdu: int = 16384) -> list[list[tuple[int, bytes]]]:
    message = C_STORE_RSP()
    message.primitive_to_message(response)
    return [each.presentation_data_value_list for each in message.encode_msg(3, max_pdu)]


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1." + "2" * 62])
def test_the_command_is_that_of_pynetdicom(instance: str) -> None:
    response = _response(instance=instance)
    command = encoded_success(response)
    assert command is not None
    assert _by_pynetdicom(response) == [[(3, b"\x03" + command)]]


def test_a_response_that_says_more_is_left_to_pynetdicom() -> None:
    commented, incomplete = _response(), _response()
    commented.ErrorComment = cast("None", "filled in")
    incomplete.AffectedSOPInstanceUID = None
    for response in (_response(0xA700), _response(0xB000), commented, incomplete):
        assert encoded_success(response) is None


@pytest.fixture
def association(monkeypatch: pytest.MonkeyPatch) -> Association:
    """An association that responds quickly; its peer takes PDUs of 16 KiB."""
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "none")
    made = Association(AE(), "acceptor")
    made.requestor.maximum_length = 16384
    send_success_quickly(made)
    return made


def _sent(association: Association) -> list[list[tuple[int, bytes]]]:
    queued = association.dul.to_provider_queue.queue
    return [cast("P_DATA", each).presentation_data_value_list for each in queued]


@pytest.mark.parametrize("status", [0x0000, 0xA700])
def test_every_response_is_sent_and_reported(association: Association, status: int) -> None:
    reported: list[str] = []

    def keep(event: Event) -> None:
        reported.append(event.event.name)

    association.bind(evt.EVT_DIMSE_SENT, keep)
    association.dimse.send_msg(_response(status), 3)
    assert _sent(association) == _by_pynetdicom(_response(status))
    assert reported == ["EVT_DIMSE_SENT"]


def test_a_peer_with_tiny_pdus_gets_several(association: Association) -> None:
    association.requestor.maximum_length = 64
    association.dimse.send_msg(_response(), 3)
    assert _sent(association) == _by_pynetdicom(_response(), 64)
    assert len(_sent(association)) > 1


def test_the_log_of_pynetdicom_gets_the_whole_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_config, "LOG_HANDLER_LEVEL", "standard")
    association = Association(AE(), "acceptor")
    association.requestor.maximum_length = 16384
    send_success_quickly(association)
    messages: list[object] = []

    def keep(event: Event) -> None:
        messages.append(event.message)

    association.bind(evt.EVT_DIMSE_SENT, keep)
    association.dimse.send_msg(_response(), 3)
    assert [type(each) for each in messages] == [C_STORE_RSP]


def test_other_messages_are_left_to_pynetdicom(association: Association) -> None:
    echo = C_ECHO()
    echo.MessageID = echo.MessageIDBeingRespondedTo = 1
    echo.Status = 0
    association.dimse.send_msg(echo, 1)
    assert len(_sent(association)) == 1


def test_pynetdicom_sends_by_the_function_that_is_replaced() -> None:
    source = inspect.getsource(StorageServiceClass.SCP)
    assert "self.dimse.send_msg(rsp, cx_id)" in source, incompatible("send_msg is not used")
    parameters = list(inspect.signature(DIMSEServiceProvider.send_msg).parameters)
    assert parameters == ["self", "primitive", "context_id"], incompatible("send_msg has changed")
