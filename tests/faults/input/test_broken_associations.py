"""Peers that violate the protocol: the association ends, with its threads and its socket."""

import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from node.intake.inbox import DIGEST_THREADS
from pacs_listener.store_status import StoreStatus
from tests.support.factories import CT_IMAGE, EXPLICIT, encoded
from tests.support.peers.raw_peer import RawPeer
from tests.support.peers.secure_port import Port, TlsSite
from tests.support.peers.upper_layer import (
    ABORT,
    ASSOCIATE_RQ,
    COMMAND,
    CT_CONTEXTS,
    DATA,
    ECHO_CONTEXT,
    LAST,
    P_DATA_TF,
    RELEASE_RP,
    RELEASE_RQ,
    associate_rq,
    c_echo,
    c_store,
    item,
    p_data,
    pdu,
    presentation_context,
)
from tests.support.processes.listener_process import ListenerProcess
from tests.support.processes.resources_in_use import Rest
from tests.support.waiting import until

# The default limit.
MAX_ASSOCIATIONS = 25
# These associations end at once; a timeout takes 30 s.
SOON_S = 10
ABORTED = 0x07
# Of the listener: configuration, rejections, certificates and those of peers; digests.
TIMERS = 4 + DIGEST_THREADS


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, certificates: TlsSite
) -> Iterator[ListenerProcess]:
    folder = tmp_path_factory.mktemp("node")
    with ListenerProcess(folder / "data", tls=certificates) as process:
        yield process
        # A remaining thread would prevent the exit.
        assert process.stop() == 0


@pytest.fixture(scope="module", params=["plain", "tls"])
def open_port(running: ListenerProcess, request: pytest.FixtureRequest) -> Port:
    """The port without TLS, and that with TLS."""
    return running.tls_port if request.param == "tls" else running.port


@pytest.fixture
def port(running: ListenerProcess, open_port: Port) -> Iterator[Port]:
    """A listener that must have no thread or socket of a test left soon after it."""
    pid = running.process.pid
    at_rest = Rest.of(pid)
    yield open_port
    until(lambda: at_rest.is_reached(pid, timers=TIMERS), SOON_S, "all threads to end")
    echo(open_port)
    until(lambda: at_rest.is_reached(pid, timers=TIMERS), SOON_S, "the last thread to end")


def echo(port: Port) -> None:
    with RawPeer.associated(port) as peer:
        assert peer.status([c_echo()]) == StoreStatus.SUCCESS
        peer.send([RELEASE_RQ])
        assert peer.is_ended()


def test_connections_without_a_request_hold_no_association(port: Port) -> None:
    for _ in range(2 * MAX_ASSOCIATIONS):
        RawPeer(port).close()
    for _ in range(2 * MAX_ASSOCIATIONS):
        with RawPeer(port) as peer:
            peer.send([ABORT])


def without_user_information() -> bytes:
    body = associate_rq()[6:]
    return pdu(ASSOCIATE_RQ, body[: body.rindex(b"\x50\0")])


UNUSUAL_REQUESTS = {
    "contexts of even number": associate_rq(presentation_context(2, CT_IMAGE, [EXPLICIT])),
    "a context without transfer syntax": associate_rq(presentation_context(1, CT_IMAGE, [])),
    "a transfer syntax in letters": associate_rq(presentation_context(1, CT_IMAGE, ["x" * 70])),
    "an unknown class without syntax": associate_rq(presentation_context(1, "1.2.3", [])),
    "no contexts": associate_rq(b""),
    "no user information": without_user_information(),
    "an unknown item": associate_rq(item(0x77, b"what")),
    "an item that is cut off": pdu(ASSOCIATE_RQ, associate_rq()[6:-3]),
    "another version": associate_rq()[:6] + b"\0\2" + associate_rq()[8:],
    "an unknown type of user identity": associate_rq(user=item(0x58, b"\x63\1\0\1a\0\0")),
    "roles of nothing": associate_rq(user=item(0x54, b"\0\0\1\1")),
    "no room for an answer": associate_rq(max_pdu=3),
    "room for the head of an answer": associate_rq(max_pdu=6),
}


@pytest.mark.parametrize("request_pdu", UNUSUAL_REQUESTS.values(), ids=UNUSUAL_REQUESTS)
def test_an_unusual_association_request_is_ended_or_served(port: Port, request_pdu: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_ASSOCIATIONS + 1):
            peer = stack.enter_context(RawPeer(port))
            peer.socket.settimeout(SOON_S)
            peer.send([request_pdu])
            # These two end the association; where they do not, the listener must.
            peer.read()
            peer.send([c_echo(), RELEASE_RQ])
            assert peer.is_ended()


UNUSUAL_MESSAGES = {
    "an empty PDU": [pdu(P_DATA_TF, b"")],
    "an empty value": [pdu(P_DATA_TF, struct.pack(">IB", 1, ECHO_CONTEXT))],
    "a value longer than its PDU": [pdu(P_DATA_TF, struct.pack(">IBB", 99, ECHO_CONTEXT, 3))],
    "no command": [p_data(ECHO_CONTEXT, COMMAND | LAST, b"")],
    "an invalid command": [p_data(ECHO_CONTEXT, COMMAND | LAST, b"what is this")],
    "a data set without command": [p_data(ECHO_CONTEXT, DATA | LAST, b"data")],
    "an unknown context": [p_data(99, COMMAND | LAST, c_echo()[12:])],
    "an echo as CT image": [p_data(CT_CONTEXTS[EXPLICIT], COMMAND | LAST, c_echo()[12:])],
    "a second request": [associate_rq()],
    "an answer to no release": [RELEASE_RP],
    "two releases": [RELEASE_RQ, RELEASE_RQ],
    "an echo after the release": [RELEASE_RQ, c_echo()],
    "an acceptance": [pdu(0x02, associate_rq()[6:])],
    "a rejection": [pdu(0x03, b"\0\1\1\1")],
    "an unknown PDU type": [pdu(0x09, b"what")],
}


@pytest.mark.parametrize("pdus", UNUSUAL_MESSAGES.values(), ids=UNUSUAL_MESSAGES)
def test_an_unusual_message_ends_the_association_or_is_answered(
    port: Port, pdus: list[bytes]
) -> None:
    with RawPeer.associated(port) as peer:
        peer.socket.settimeout(SOON_S)
        peer.send([*pdus, RELEASE_RQ])
        assert peer.is_ended()


def test_an_endless_command_ends_the_association(port: Port) -> None:
    sent, fragment = 0, p_data(ECHO_CONTEXT, COMMAND, bytes(16_000))
    with RawPeer.associated(port) as peer:
        while sent < 64 << 20 and peer.send([fragment]):
            sent += len(fragment)
    assert sent < 32 << 20


def test_too_many_unanswered_requests_end_the_association(port: Port) -> None:
    def answered(count: int) -> int:
        with RawPeer.associated(port) as peer:
            peer.send([c_echo() * count])
            for number in range(count):
                if peer.read()[0] != P_DATA_TF:
                    return number
        return count

    assert answered(5) == 5
    assert answered(2000) < 2000


def test_data_after_an_invalid_pdu_is_not_answered(port: Port) -> None:
    with RawPeer.associated(port) as peer:
        peer.send([pdu(0x09, b"what") + b"\x09\0\0\0\0\0" * 1000])
        pdu_types = []
        while pdu_type := peer.read()[0]:
            pdu_types.append(pdu_type)
    assert pdu_types in ([], [ABORTED])


def test_an_association_request_above_the_limit_is_not_parsed(port: Port) -> None:
    context = presentation_context(1, CT_IMAGE, [f"1.2.{number}" for number in range(5000)])
    with RawPeer(port) as peer:
        peer.send([associate_rq(context * 16)])
        assert peer.read()[0] == 0


def test_a_data_set_in_many_fragments_is_stored(port: Port) -> None:
    whole = encoded(sop_instance_uid="1.2.3.77")
    request, data = c_store(whole, "1.2.3.77")
    pieces = [p_data(CT_CONTEXTS[EXPLICIT], DATA, whole[n : n + 1]) for n in range(len(whole))]
    with RawPeer.associated(port) as peer:
        end = p_data(CT_CONTEXTS[EXPLICIT], DATA | LAST, b"")
        assert peer.status([request, *pieces, end]) == StoreStatus.SUCCESS
        assert peer.status([request, data]) == StoreStatus.SUCCESS
