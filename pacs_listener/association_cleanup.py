"""An association ends whole: with either of its two threads the other ends, and the connection.

pynetdicom speaks with a peer on one thread and serves it on another. Where one of them fails on
what the peer has sent, the other would wait on, half a minute or for ever, and hold a place, a
socket and the end of the process; and so it would where a peer connects and goes.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import A_ABORT_RQ

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOG = structlog.get_logger()
# By the service provider, for no reason that it would tell (PS3.8 9.3.8).
_BY_PROVIDER, _NO_REASON = 0x02, 0x00
# What a peer may take to read that we are done with it.
_FAREWELL_S = 1.0


def bind_ends(event: Event) -> None:
    """Bind the ends of both threads to each other; for when a connection opens."""
    association, transport = event.assoc, event.assoc.dul.socket
    connection = transport.socket if transport is not None else None
    if connection is not None:
        serve, speak = association.run, association.dul.run
        # pynetdicom offers no other way.
        association.run = partial(_serve, association, connection, serve)  # type: ignore[method-assign]
        association.dul.run = partial(_speak, association, connection, speak)  # type: ignore[method-assign]


def _serve(
    association: "Association", connection: socket.socket, serve: Callable[[], None]
) -> None:
    """Serves a peer to its end."""
    try:
        serve()
    except Exception as error:  # noqa: BLE001 pynetdicom raises anything on a request it did not expect
        _break_off(association, connection, error)
    finally:
        association.dul.kill_dul()
        # It may wait for the peer.
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _speak(
    association: "Association", connection: socket.socket, speak: Callable[[], None]
) -> None:
    """Speaks with a peer to the end."""
    try:
        speak()
    except Exception as error:  # noqa: BLE001 and on a PDU
        _break_off(association, connection, error)
    finally:
        evt.trigger(association, evt.EVT_CONN_CLOSE, {"address": association.requestor.address})
        if association.requestor.primitive is None:
            # It waits for a request for an association; this is what it is told when none comes.
            association.dul.to_user_queue.put(None)
        # pynetdicom leaves that out where the peer was the first.
        connection.close()


def _break_off(association: "Association", connection: socket.socket, error: Exception) -> None:
    told = f"{type(error).__name__}: {error}"
    _LOG.warning("association.broken", address=association.requestor.address, error=told[:200])
    farewell = A_ABORT_RQ()
    farewell.source, farewell.reason_diagnostic = _BY_PROVIDER, _NO_REASON
    with suppress(OSError):
        connection.settimeout(_FAREWELL_S)
        connection.sendall(farewell.encode())
