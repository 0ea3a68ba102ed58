"""Known attacks on DICOM receivers: the listener ends them and continues to serve others."""

import resource
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from pynetdicom.association import Association
from pynetdicom.transport import RequestHandler

from node.dimse.tls.contexts import server_context
from node.domain.identifiers import AeTitle
from node.domain.instance import ReceivedInstance
from node.intake.inbox import Accepted, Inbox
from node.settings import DicomTlsOptions
from node.store import Store
from pacs_listener import application_entity, scp
from pacs_listener.commitment import CommitmentService
from pacs_listener.limits import Limits
from pacs_listener.policy import AssociationPolicy, TlsPort
from pacs_listener.processes.ports import SPARE_CONNECTIONS
from pacs_listener.scp import Listener
from tests.support.factories import EXPLICIT, encoded, sqlite_url
from tests.support.peers.raw_peer import RawPeer, is_closed
from tests.support.peers.secure_port import Port, TlsSite, number_of
from tests.support.peers.upper_layer import (
    CT_CONTEXTS,
    DATA,
    P_DATA_TF,
    RELEASE_RQ,
    c_store,
    p_data,
)
from tests.support.waiting import until

MAX_PDU = 16384
TIMEOUT_S = 1.0
INSTANCE_BYTES = 4 << 20
TOTAL_BYTES = 6 << 20
MAX_ASSOCIATIONS = 3
MAX_CONNECTIONS = MAX_ASSOCIATIONS + SPARE_CONNECTIONS


@pytest.fixture
def acse_timeout_s() -> float:
    """The time that a peer has to request an association."""
    return TIMEOUT_S


@pytest.fixture(params=["plain", "tls"])
def port(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificates: TlsSite,
    acse_timeout_s: float,
    request: pytest.FixtureRequest,
) -> Iterator[Port]:
    """A listener with short timeouts and small limits."""

    def small(pdu_bytes: int, _pdu_s: float) -> Limits:
        return Limits(pdu_bytes, TIMEOUT_S, INSTANCE_BYTES, TOTAL_BYTES)

    monkeypatch.setattr(scp, "Limits", small)
    for module in (scp, application_entity):
        monkeypatch.setattr(module, "ACSE_TIMEOUT_S", acse_timeout_s)
        monkeypatch.setattr(module, "NETWORK_TIMEOUT_S", 4 * TIMEOUT_S)
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    options = DicomTlsOptions(
        certificate_file=certificates.node.certificate,
        key_file=certificates.node.key,
        ca_file=certificates.authority.file,
    )
    tls = TlsPort(0, partial(server_context, options, "required"))
    policy = AssociationPolicy(
        AeTitle("SEGNODE"), "127.0.0.1", 0, MAX_PDU, MAX_ASSOCIATIONS, (), tls=tls
    )
    commitment = CommitmentService(store, (), lambda: datetime.now(UTC))
    listener = Listener(policy, Inbox(store, 0), commitment, lambda: datetime.now(UTC))
    plain = listener.start()
    yield certificates.port(listener.tls_port) if request.param == "tls" else plain
    listener.stop(0)
    store.close()


def is_served(port: Port) -> bool:
    """Whether the listener accepts an association."""
    try:
        with RawPeer.associated(port) as peer:
            return peer.send([RELEASE_RQ]) and peer.is_ended()
    except (AssertionError, OSError):
        return False


def connect(port: Port) -> socket.socket:
    """Opens a connection without any handshake."""
    connection = socket.create_connection(("127.0.0.1", number_of(port)))
    connection.settimeout(20)
    return connection


class Stream(RawPeer):
    """An association on which a data set is sent in fragments."""

    def send_fragment(self, size: int) -> bool:
        """Sends a fragment that is not the last; returns whether the peer is still connected."""
        return self.send([p_data(CT_CONTEXTS[EXPLICIT], DATA, bytes(size))])

    def has_ended(self) -> bool:
        """Whether the listener has aborted the association or closed the connection."""
        self.socket.settimeout(0.01)
        try:
            self.socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True
        return True


def test_a_pdu_with_a_length_of_gigabytes_ends_the_connection(port: Port) -> None:
    for pdu_type in (0x01, P_DATA_TF):
        with RawPeer(port) as peer:
            peer.send([struct.pack(">BBI", pdu_type, 0, 0xFFFFFFF0) + bytes(1000)])
            assert peer.is_ended()
    assert is_served(port)


def test_an_endless_data_set_ends_the_association(port: Port) -> None:
    sent = 0
    with Stream.associated(port) as stream:
        while sent < 4 * INSTANCE_BYTES and stream.send_fragment(MAX_PDU - 100):
            sent += MAX_PDU - 100
        until(stream.has_ended, 10, "the association to end")
    assert sent < 4 * INSTANCE_BYTES
    assert is_served(port)


def test_data_sets_that_exceed_the_total_limit_end_an_association(port: Port) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream.associated(port)) for _ in range(MAX_ASSOCIATIONS)]
        # Less than the limit of one instance, more than the limit of all together.
        for _ in range(3 * INSTANCE_BYTES // 4 // MAX_PDU):
            for stream in streams:
                stream.send_fragment(MAX_PDU - 100)
        until(lambda: any(stream.has_ended() for stream in streams), 10, "one to end")
    until(lambda: is_served(port), 10, "a free association slot")


def test_a_data_set_is_not_read_before_the_one_before_it_is_stored(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, accept = threading.Event(), Inbox.accept

    def waits(inbox: Inbox, received: ReceivedInstance, now: datetime) -> Accepted:
        goes_on.wait(20)
        return accept(inbox, received, now)

    monkeypatch.setattr(Inbox, "accept", waits)
    large = encoded(attributes={"PixelData": bytes(3 * INSTANCE_BYTES // 4)})
    with RawPeer.associated(port) as peer:
        peer.socket.settimeout(2)
        assert peer.send(c_store(large, "1.2.3.1"))
        # Both together would exceed the limit, and so they would not fit into the node's memory.
        assert not peer.send(c_store(bytes(8 * INSTANCE_BYTES), "1.2.3.1"))
    goes_on.set()
    until(lambda: is_served(port), 10, "a free association slot")


def test_peers_that_stop_within_a_pdu_are_disconnected(port: Port) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_ASSOCIATIONS):
            stream = stack.enter_context(Stream.associated(port))
            stream.socket.sendall(struct.pack(">BBI", P_DATA_TF, 0, 5000) + bytes(10))
        assert not is_served(port)
        until(lambda: is_served(port), 20, "a free association slot")


def test_silent_peers_are_disconnected(port: Port) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(MAX_ASSOCIATIONS)]
        half = stack.enter_context(RawPeer(port))
        half.send([b"\x01\x00\x00"])
        assert all(is_closed(connection) for connection in (*silent, half.socket))
    until(lambda: is_served(port), 20, "a free association slot")


def test_peers_that_stop_within_the_handshake_hold_up_nobody(port: Port) -> None:
    with ExitStack() as stack:
        # The head of a handshake record, and a part of its content.
        for _ in range(MAX_ASSOCIATIONS - 1):
            stack.enter_context(connect(port)).sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        assert is_served(port)
    until(lambda: is_served(port), 20, "a free association slot")


def test_a_peer_that_sends_byte_by_byte_is_disconnected(port: Port) -> None:
    is_tls = number_of(port) != port
    # The head of a handshake record with a ClientHello, and that of an association request.
    head = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" if is_tls else b"\x01\x00\x00\x00\x10\x00"
    with connect(port) as slow:
        slow.sendall(head)
        assert bytes_until_closed(slow) < 500
    until(lambda: is_served(port), 20, "a free association slot")


def bytes_until_closed(slow: socket.socket) -> int:
    """Sends one byte after another; returns how many until the peer has closed the connection."""
    for number in range(500):
        readable, _, _ = select.select([slow], [], [], TIMEOUT_S / 10)
        try:
            if readable and not slow.recv(1 << 16):
                return number
            slow.sendall(b"\x03")
        except ConnectionError:
            return number
    return 500


@pytest.mark.parametrize("acse_timeout_s", [60.0])
def test_connections_that_arrive_together_are_limited(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    are_there = threading.Event()
    create = RequestHandler._create_association

    def create_once_all_are_there(handler: RequestHandler) -> Association:
        are_there.wait()
        return create(handler)

    monkeypatch.setattr(RequestHandler, "_create_association", create_once_all_are_there)
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(port)) for _ in range(2 * MAX_CONNECTIONS)]
        are_there.set()
        until(lambda: closed_number(connections) == MAX_CONNECTIONS, 20, "half to be closed")


def closed_number(connections: list[socket.socket]) -> int:
    """Returns how many of the connections the peer has closed; on none has it sent anything."""
    return len(select.select(connections, [], [], 0)[0])


# No connection times out here: one that ends keeps its threads for a moment beside the next ones.
@pytest.mark.parametrize("acse_timeout_s", [60.0])
def test_the_listener_survives_a_thousand_concurrent_connections(port: Port) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    before = threading.active_count()
    try:
        with ExitStack() as stack:
            connections = [stack.enter_context(connect(port)) for _ in range(1000)]
            # Two threads for each accepted connection, and no more.
            assert threading.active_count() - before <= 2 * MAX_CONNECTIONS + 5
            assert is_closed(connections[-1])
        until(lambda: is_served(port), 30, "the listener to serve again")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
