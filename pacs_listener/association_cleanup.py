"""Ends both threads of an association, and its connection, when either thread ends.

pynetdicom exchanges PDUs with a peer on one thread and serves its requests on another. Where one of
them fails on what the peer has sent, the other would wait for half a minute or for ever. It would
keep an association slot and a socket, and the process could not end. The same happens where a peer
connects and disconnects without a request.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
from pynetdicom.events import Event

from node.dimse.pynetdicom_internals import (
    connection_of,
    encoded_abort,
    report_closed_connection,
    stop_reactor,
    wrap_threads,
)
from node.dimse.tls.connection import TlsConnection, cut_off

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOG = structlog.get_logger()
# The time that a peer has to read the abort.
_ABORT_TIMEOUT_S = 1.0


def end_threads_together(event: Event) -> None:
    """Makes either thread of an association end with the other; handles EVT_CONN_OPEN."""
    association = event.assoc
    connection = connection_of(association)
    if connection is not None:
        wrap_threads(
            association,
            service=partial(_run_service, association, connection),
            reactor=partial(_run_reactor, association, connection),
        )


def _run_service(
    association: "Association", connection: socket.socket, run: Callable[[], None]
) -> None:
    """Serves requests until the association ends; then ends the other thread."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 pynetdicom raises anything on an unexpected request
        _log_failure(association, error)
        # The other thread alone may write to a connection by TLS; its end says as much.
        if not isinstance(connection, TlsConnection):
            _abort(connection)
    finally:
        stop_reactor(association)
        # The other thread may wait for the peer.
        cut_off(connection)


def _run_reactor(
    association: "Association", connection: socket.socket, run: Callable[[], None]
) -> None:
    """Exchanges PDUs until the association ends; then ends the other thread and closes."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 pynetdicom raises anything on an unexpected PDU
        _log_failure(association, error)
        _abort(connection)
    finally:
        report_closed_connection(association)
        # pynetdicom does not close the socket where the peer has closed the connection first.
        connection.close()


def _log_failure(association: "Association", error: Exception) -> None:
    message = f"{type(error).__name__}: {error}"
    _LOG.warning("association.failed", address=association.requestor.address, error=message[:200])


def _abort(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.settimeout(_ABORT_TIMEOUT_S)
        connection.sendall(encoded_abort())
