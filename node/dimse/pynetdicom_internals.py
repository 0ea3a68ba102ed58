"""Adapter for the parts of pynetdicom that are not documented for applications.

pynetdicom has no public interface for what these functions do. The unit test of this module checks
every attribute and signature that is used here, and names what an upgrade has changed.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from pynetdicom import AE, _config, evt
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation, AssociationSocket

from node.dimse.reactor_checkpoint import ReactorCheckpoint
from node.dimse.tls.connection import TlsConnection

if TYPE_CHECKING:
    from pynetdicom.association import Association

Run = Callable[[], None]
# The state of an association that has ended and whose connection is to be closed (PS3.8 9.2.1).
AWAITING_CLOSE = "Sta13"
# The event of a connection that has ended (PS3.8 9.2.2).
_CONNECTION_CLOSED = "Evt17"
# An abort by the service provider, without a reason (PS3.8 9.3.8).
_BY_PROVIDER, _NO_REASON = 0x02, 0x00


def disable_message_logs() -> None:
    """Stops pynetdicom from composing a log text for every message, which nobody reads."""
    _config.LOG_HANDLER_LEVEL = "none"


def run_unchanged(run: Run) -> None:
    """Runs a thread as pynetdicom does."""
    run()


def connection_of(association: "Association") -> socket.socket | None:
    """Returns the TCP connection of an association; None where it is closed already."""
    transport = association.dul.socket
    return None if transport is None else transport.socket


def replace_receive(association: "Association", receive: Callable[[int], bytearray]) -> None:
    """Reads from the connection by `receive`.

    `receive` gets a number of bytes. It returns that many, or fewer where the peer has closed the
    connection. An `OSError` that it raises ends the connection.
    """
    transport = association.dul.socket
    if transport is not None:
        transport.recv = receive  # type: ignore[method-assign, assignment] # no other way


def waiting_messages(association: "Association") -> int:
    """Returns how many messages have arrived that nobody has read."""
    return association.dimse.msg_queue.qsize()


class ClosingTransport(AssociationSocket):
    """Closes its connection where the peer has closed it first or has never taken it.

    pynetdicom leaves such a connection to the garbage collector.
    """

    def _shutdown_socket(self) -> None:
        connection = self.socket
        if connection is not None:
            with suppress(OSError):  # the peer has gone
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


class RequestingEntity(AE):
    """An application entity whose associations with peers close their connections."""

    def _create_socket(
        self,
        assoc: "Association",
        address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> AssociationSocket:
        transport = ClosingTransport(assoc, address=address)
        transport.tls_args = tls_args
        return transport


class _ReadAheadTransport(ClosingTransport):
    """Says that data is ready where it can be read without waiting; see `TlsConnection`."""

    @property
    def ready(self) -> bool:
        """Whether `recv` does not wait."""
        connection = self.socket
        if not isinstance(connection, TlsConnection) or not self._is_connected:
            return super().ready
        if connection.has_read_ahead:
            return True
        try:
            return super().ready and connection.reads_ahead()
        except OSError:
            self.event_queue.put(_CONNECTION_CLOSED)
            return False


def read_ahead(association: "Association") -> None:
    """Makes an association by TLS read only what has arrived; call it at EVT_CONN_OPEN."""
    transport = association.dul.socket
    if transport is not None:
        transport.__class__ = _ReadAheadTransport  # no other way


def wrap_threads(
    association: "Association",
    *,
    service: Callable[[Run], None] = run_unchanged,
    reactor: Callable[[Run], None],
) -> None:
    """Runs both threads of an association within the given functions.

    `service` gets the function that serves requests, `reactor` the function that exchanges PDUs
    with the peer. The threads must not have started; this is so at EVT_CONN_OPEN.
    """
    # no other way
    association.run = partial(service, association.run)  # type: ignore[method-assign]
    association.dul.run = partial(reactor, association.dul.run)  # type: ignore[method-assign]


def pause_reliably(association: "Association") -> None:
    """Makes the association keep every response for the request that it belongs to.

    Call it on a new association, before the first request; see `reactor_checkpoint`.
    """

    def must_pause() -> bool:
        return association.is_alive() and threading.current_thread() is not association

    # no other way
    association._reactor_checkpoint = ReactorCheckpoint(must_pause)  # type: ignore[assignment]


def release_service(association: "Association") -> None:
    """Lets the thread that serves requests wait for the first PDU before any can be read."""
    association._dul_ready.set()


def stop_reactor(association: "Association") -> None:
    """Makes the thread that exchanges PDUs end."""
    association.dul.kill_dul()


def report_closed_connection(association: "Association") -> None:
    """Runs the handlers of EVT_CONN_CLOSE, and ends a wait for an association request.

    The thread that serves requests waits for the first PDU; None says that none comes.
    """
    evt.trigger(association, evt.EVT_CONN_CLOSE, {"address": association.requestor.address})
    if association.requestor.primitive is None:
        association.dul.to_user_queue.put(None)


def awaits_close(association: "Association") -> bool:
    """Whether the association has ended and only its connection is to be closed."""
    return association.dul.state_machine.current_state == AWAITING_CLOSE


def reject_association(association: "Association", result: int, source: int, reason: int) -> None:
    """Rejects a requested association and ends it (PS3.8 9.3.4)."""
    association.acse.send_reject(result, source, reason)
    association.kill()


def read_late_rejection(association: "Association") -> None:
    """Reads a rejection that has arrived, and that pynetdicom has left unread.

    It leaves it where the connection was closed before it looked for an answer.
    """
    answer: object = association.dul.peek_next_pdu()
    if association.acceptor.primitive is None and isinstance(answer, A_ASSOCIATE) and answer.result:
        association.acceptor.primitive = answer
        association.is_rejected = True


def encoded_abort() -> bytes:
    """Returns an A-ABORT PDU of the service provider, without a reason."""
    abort = A_ABORT_RQ()
    abort.source, abort.reason_diagnostic = _BY_PROVIDER, _NO_REASON
    return abort.encode()
