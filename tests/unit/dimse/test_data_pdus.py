"""P-DATA-TF PDUs are decoded as pynetdicom decodes them, without copies."""

import inspect
from typing import Any, cast

import pytest
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.events import Event
from pynetdicom.pdu import A_RELEASE_RQ, P_DATA_TF

from node.dimse.data_pdus import decode_without_copies, decoded
from tests.unit.dimse.test_pynetdicom_internals import incompatible


def _pdu(*items: tuple[int, bytes]) -> bytearray:
    body = b"".join(
        (len(value) + 1).to_bytes(4, "big") + bytes([context]) + value for context, value in items
    )
    return bytearray(b"\x04\0" + len(body).to_bytes(4, "big") + body)


def _values(pdu: P_DATA_TF) -> list[tuple[int | None, bytes]]:
    return [
        (item.presentation_context_id, bytes(item.presentation_data_value or b""))
        for item in pdu.presentation_data_value_items
    ]


@pytest.mark.parametrize(
    "content",
    [
        _pdu(),
        _pdu((1, b"\x02data")),
        _pdu((1, b"\x03command"), (3, b"\x00data"), (255, b"\x02")),
        _pdu((1, b"")),
    ],
)
def test_a_pdu_is_decoded_as_by_pynetdicom(content: bytearray) -> None:
    theirs = P_DATA_TF()
    theirs.decode(bytes(content))
    assert _values(decoded(content)) == _values(theirs)


@pytest.mark.parametrize(
    "content",
    [
        _pdu((1, b"\x02data"))[:-1],
        _pdu((1, b"\x02data")) + b"\0",
        _pdu((1, b"\x02data")) + b"\0\0\0\x09\1",
        bytearray(b"\x04\0\0\0\0\x05\0\0\0\0\x01"),
    ],
)
def test_a_pdu_with_a_wrong_length_is_refused_as_by_pynetdicom(content: bytearray) -> None:
    with pytest.raises(Exception):  # noqa: B017 pynetdicom raises several
        P_DATA_TF().decode(bytes(content))
    with pytest.raises(ValueError, match="presentation data value item"):
        decoded(content)


def test_values_are_not_copied() -> None:
    content = _pdu((1, b"\x02data"))
    pdu = decoded(content)
    content[-1:] = b"e"
    assert _values(pdu) == [(1, b"\x02date")]


def test_pynetdicom_reads_a_message_from_the_values() -> None:
    message = DIMSEMessage()
    assert not message.decode_msg(decoded(_pdu((1, b"\x00first "))).to_primitive())
    assert message.decode_msg(decoded(_pdu((1, b"\x02last"))).to_primitive())
    assert message.data_set is not None
    assert message.data_set.getvalue() == b"first last"


def test_an_association_decodes_data_and_leaves_other_pdus_to_pynetdicom() -> None:
    association = Association(AE(), "acceptor")
    received: list[object] = []

    def keep(event: Event) -> None:
        received.append(event.pdu)

    association.bind(evt.EVT_PDU_RECV, keep)
    decode_without_copies(association)
    for content in (_pdu((1, b"\x02x")), bytearray(A_RELEASE_RQ().encode())):
        pdu, event = association.dul._decode_pdu(content)
        assert (type(pdu), event) == _PDU_TYPES[bytes(content[:1])]
    assert [type(pdu) for pdu in received] == [P_DATA_TF, A_RELEASE_RQ]


def test_pynetdicom_decodes_by_the_function_that_is_replaced() -> None:
    source = inspect.getsource(DULServiceProvider._read_pdu_data)
    assert "self._decode_pdu(bytestream)" in source, incompatible("_decode_pdu is not used")
    parameters = list(inspect.signature(cast("Any", DULServiceProvider._decode_pdu)).parameters)
    assert parameters == ["self", "bytestream"], incompatible("_decode_pdu has other parameters")
