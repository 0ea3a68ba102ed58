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
    DataReader,
    Fragment,
    decode_without_copies,
    decoded,
    encoded_buffers,
    send_together,
)
from tests.unit.dimse.test_pynetdicom_internals import incompatible

_HEADER = 6  # bytes of the header of a PDU


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
    assert _values(decoded(content, _HEADER)) == _values(theirs)


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
        decoded(content, _HEADER)


def test_values_are_not_copied() -> None:
    content = _pdu((1, b"\x02data"))
    pdu = decoded(content, _HEADER)
    content[-1:] = b"e"
    assert _values(pdu) == [(1, b"\x02date")]


def test_pynetdicom_reads_a_message_from_the_values() -> None:
    message = DIMSEMessage()
    assert not message.decode_msg(decoded(_pdu((1, b"\x00first "))[_HEADER:]).to_primitive())
    assert message.decode_msg(decoded(_pdu((1, b"\x02last"))[_HEADER:]).to_primitive())
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


class _Peer:
    """A connection that returns what a peer has sent, then its end or an error."""

    def __init__(self, content: bytes, error: OSError | None = None) -> None:
        self.content, self._error = bytearray(content), error

    def recv(self, count: int) -> bytearray:
        if len(self.content) < count and self._error is not None:
            raise self._error
        piece = self.content[:count]
        del self.content[:count]
        return piece


def _transferring(peer: _Peer) -> Association:
    """An association that transfers data, and that keeps the messages of pynetdicom's log."""
    association = Association(AE(), "acceptor")
    association.dul.state_machine.current_state = "Sta6"
    association.dul.socket = cast("AssociationSocket", peer)
    return association


def test_data_is_handed_on_without_an_event() -> None:
    association = _transferring(_Peer(bytes(_pdu((1, b"\x00first ")))))
    received: list[object] = []
    association.bind(evt.EVT_PDU_RECV, lambda event: received.append(type(event.pdu)))
    data = DataReader(association)
    assert data.is_in_use
    assert data.read()
    assert association.dul.event_queue.empty()
    assert received == [P_DATA_TF]
    message = association.dimse.message
    assert message is not None
    assert message.data_set.getvalue() == b"first "  # type: ignore[union-attr]


_RESET = ConnectionResetError()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (A_RELEASE_RQ().encode() + b"more", None),
        (b"\x09\0\0\0\0\x01x", None),
        (_pdu((1, b"\x02data"))[:-1], None),
        (_pdu((1, b"\x02data"))[:-1], _RESET),
        (_pdu((1, b"\x02data"))[:6] + b"\0\0\0\xff\1\2data", None),
        (b"\x04\0", None),
        (b"\x04\0", _RESET),
        (b"", None),
        (b"", _RESET),
    ],
    ids=[
        "release",
        "unknown type",
        "cut off by the end",
        "cut off by an error",
        "damaged",
        "a part of a header and the end",
        "a part of a header and an error",
        "the end",
        "an error",
    ],
)
def test_all_else_becomes_the_event_of_pynetdicom(content: bytes, error: OSError | None) -> None:
    theirs, peer = _transferring(_Peer(content, error)), _Peer(content, error)
    theirs.dul._read_pdu_data()
    association = _transferring(peer)
    decode_without_copies(association)
    assert not DataReader(association).read()
    assert list(association.dul.event_queue.queue) == list(theirs.dul.event_queue.queue)
    assert association.dul.event_queue.qsize() == 1
    kept = [type(pdu) for pdu in association.dul._recv_pdu.queue]
    assert kept == [type(pdu) for pdu in theirs.dul._recv_pdu.queue]
    assert peer.recv(0) == b""
    assert bytes(peer.content) == bytes(cast("Any", theirs.dul.socket).content)


def test_only_the_transfer_of_data_is_read_so() -> None:
    association = _transferring(_Peer(b""))
    association.dul.state_machine.current_state = "Sta7"
    assert not DataReader(association).is_in_use


def test_pynetdicom_hands_data_on_without_a_change_of_its_state() -> None:
    assert fsm.TRANSITION_TABLE[("Evt10", "Sta6")] == "DT-2"
    source = inspect.getsource(fsm.DT_2)
    assert "dul.assoc.dimse.receive_primitive(" in source, incompatible("DT_2 does something else")
    assert 'return "Sta6"' in source, incompatible("DT_2 changes the state")


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
