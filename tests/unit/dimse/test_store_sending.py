"""An image is sent with the request of pynetdicom and its encoded data set unchanged."""

import inspect
from io import BytesIO

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

from node.dimse.store_sending import _fragments, store_encoded
from tests.support.factories import encoded, received
from tests.unit.dimse.test_pynetdicom_internals import incompatible


def _by_pynetdicom(dataset: bytes, max_pdu: int) -> list[bytes]:
    request = C_STORE()
    request.MessageID, request.Priority = 9, 2
    request.AffectedSOPClassUID = received().sop_class_uid
    request.AffectedSOPInstanceUID = received().sop_instance_uid
    request.DataSet = BytesIO(dataset)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return [
        value
        for data in message.encode_msg(1, max_pdu)
        for _context, value in data.presentation_data_value_list
    ]


@pytest.mark.parametrize("max_pdu", [0, 16, 128, 4096])
@pytest.mark.parametrize("pixels", [0, 1, 4090, 4091, 9000])
def test_the_request_is_that_of_pynetdicom(max_pdu: int, pixels: int) -> None:
    dataset = encoded(attributes={"PixelData": bytes(pixels)})
    fragments = _fragments(received(dataset=dataset), 9, max_pdu)
    values = [bytes([each.control]) + each.content for each in fragments]
    assert values == _by_pynetdicom(dataset, max_pdu)


def test_without_an_association_nothing_is_sent() -> None:
    association = Association(AE(), "requestor")
    with pytest.raises(RuntimeError, match="established"):
        store_encoded(association, received(), 1)
    assert association.dul.to_provider_queue.empty()


@pytest.mark.parametrize(
    "text",
    [
        "self._reactor_checkpoint.clear()",
        "self.dimse.get_msg(block=True)",
        "self._get_valid_context(",
        "self._handle_no_response()",
        "self._check_received_status(rsp)",
        "if not self.is_established:",
    ],
)
def test_pynetdicom_sends_by_the_same_steps(text: str) -> None:
    source = inspect.getsource(Association.send_c_store)
    assert text in source, incompatible(f"Association.send_c_store has no {text}")
