"""P-DATA-TF PDUs are decoded and sent as pynetdicom does it, without copies."""

import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pynetdicom import AE, evt, fsm
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import _PDU_TYPES, DULServiceProvider
from pynetdicom.events import Event
from pynetdicom.pdu import A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from node.dimse.data_pdus import (
    _MAX_BUFFERS,
    Fragment,
    decode_without_copies,
    decoded,
    encoded_buffers,
    send_together,
)
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


def _primitive(*values: bytes | Fragment) -> P_DATA:
    data = P_DATA()
    data.presentation_data_value_list.extend((3, cast("bytes", value)) for value in values)
    return data


def _by_pynetdicom(*values: bytes) -> bytes:
    return b"".join(P_DATA_TF(_primitive(value)).encode() for value in values)


_VALUES = (b"\x03command", b"\x00" + bytes(range(256)), b"\x02")


def test_each_value_becomes_a_pdu_as_by_pynetdicom() -> None:
    buffers = encoded_buffers(P_DATA_TF(_primitive(*_VALUES)))
    assert b"".join(buffers) == _by_pynetdicom(*_VALUES)


def test_a_value_that_is_not_in_one_piece_becomes_the_same_pdu() -> None:
    fragments = [Fragment(value[0], memoryview(value)[1:]) for value in _VALUES]
    buffers = encoded_buffers(P_DATA_TF(_primitive(*fragments)))
    assert b"".join(buffers) == _by_pynetdicom(*_VALUES)


class _Connection:
    """Takes at most `step` bytes of what `sendmsg` gets, as the system may."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.sent = bytearray()
        self.calls: list[int] = []

    def sendmsg(self, buffers: Sequence[memoryview]) -> int:
        self.calls.append(len(buffers))
        taken = b"".join(buffers)[: self._step]
        self.sent += taken
        return len(taken)

    def sendall(self, data: memoryview) -> None:
        self.sent += data


class _EndedConnection(_Connection):
    """Takes some data before it fails."""

    def sendall(self, data: memoryview) -> None:
        raise BrokenPipeError


def _sending(connection: object) -> tuple[Association, list[str]]:
    association = Association(AE(), "requestor")
    association.dul.socket = cast("AssociationSocket", SimpleNamespace(socket=connection))
    events: list[str] = []

    def keep(event: Event) -> None:
        events.append(event.event.name)

    association.bind(evt.EVT_DATA_SENT, keep)
    association.bind(evt.EVT_PDU_SENT, keep)
    send_together(association)
    return association, events


@pytest.mark.parametrize("step", [0, 1, 12, 13, 20, 32, 33, 10_000])
def test_what_the_system_has_not_taken_follows(step: int) -> None:
    connection = _Connection(step)
    association, events = _sending(connection)
    association.dul._send(P_DATA_TF(_primitive(*_VALUES)))
    assert bytes(connection.sent) == _by_pynetdicom(*_VALUES)
    assert events == ["EVT_DATA_SENT", "EVT_PDU_SENT"]


def test_a_system_call_gets_no_more_buffers_than_it_takes() -> None:
    connection = _Connection(1 << 20)
    association, _ = _sending(connection)
    values = [b"\x00" + bytes([number % 256]) for number in range(_MAX_BUFFERS)]
    association.dul._send(P_DATA_TF(_primitive(*values)))
    assert bytes(connection.sent) == _by_pynetdicom(*values)
    assert connection.calls == [_MAX_BUFFERS, _MAX_BUFFERS]


def test_a_connection_that_has_ended_is_reported_as_by_pynetdicom() -> None:
    association, events = _sending(_EndedConnection(1))
    association.dul._send(P_DATA_TF(_primitive(*_VALUES)))
    assert association.dul.event_queue.get_nowait() == "Evt17"
    assert events == []
    source = inspect.getsource(AssociationSocket.send)
    assert 'self.event_queue.put("Evt17")' in source, incompatible("send reports another event")


def test_other_pdus_are_sent_by_pynetdicom() -> None:
    connection = _Connection(1 << 20)
    association, _ = _sending(connection)
    sent: list[bytes] = []
    cast("Any", association.dul.socket).send = sent.append
    association.dul._send(A_RELEASE_RQ())
    assert sent == [A_RELEASE_RQ().encode()]
    assert connection.calls == []


def test_pynetdicom_sends_data_by_the_function_that_is_replaced() -> None:
    source = inspect.getsource(fsm.DT_1)
    assert "dul._send(P_DATA_TF(primitive))" in source, incompatible("DT_1 does not use _send")
