"""TLS handshakes of senders, each on the threads of its own association.

The listener never waits for a handshake while it accepts connections.
"""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import structlog
from pynetdicom.events import Event

from node.dimse.pynetdicom_internals import (
    connection_of,
    read_ahead,
    release_service,
    wrap_threads,
)
from node.dimse.tls.connection import TlsConnection
from node.dimse.tls.peer_certificate import PeerCertificate
from node.domain.connections.rejected_connection import ListenerRejection

if TYPE_CHECKING:
    from pynetdicom.association import Association

_LOG = structlog.get_logger()
# The type of the first record of every TLS connection (RFC 8446 5.1).
TLS_HANDSHAKE = 0x16
_EXPIRED = {9, 10}  # not valid yet, and not any more (OpenSSL's x509_vfy.h)
# OpenSSL's names of what a sender answers, or what is wrong with its answer.
_REASONS: tuple[tuple[str, ListenerRejection], ...] = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", ListenerRejection.NO_CERTIFICATE),
    ("ALERT_UNKNOWN_CA", ListenerRejection.OWN_CERTIFICATE_REFUSED),
    ("ALERT_BAD_CERTIFICATE", ListenerRejection.OWN_CERTIFICATE_REFUSED),
    ("ALERT_CERTIFICATE", ListenerRejection.OWN_CERTIFICATE_REFUSED),
    ("ALERT_UNSUPPORTED_CERTIFICATE", ListenerRejection.OWN_CERTIFICATE_REFUSED),
    ("ALERT_DECRYPT_ERROR", ListenerRejection.OWN_CERTIFICATE_REFUSED),
)


class TlsHandshakes:
    """Makes the handshakes, and knows the certificates of the senders.

    `record` counts a connection that is rejected.
    """

    def __init__(
        self, timeout_s: float, record: Callable[["Association", ListenerRejection], None]
    ) -> None:
        self._timeout_s = timeout_s
        self._record = record
        self._certificates: WeakKeyDictionary[Association, PeerCertificate] = WeakKeyDictionary()

    def certificate_of(self, association: "Association") -> PeerCertificate | None:
        """Returns the certificate of the sender; None where it has shown none."""
        return self._certificates.get(association)

    def handshake_first(self, event: Event) -> None:
        """Makes an association begin with the handshake; handles EVT_CONN_OPEN."""
        association = event.assoc
        connection = connection_of(association)
        if isinstance(connection, TlsConnection):
            read_ahead(association)
            reactor = partial(self._run_reactor, association, connection)
            wrap_threads(association, reactor=reactor)

    def _run_reactor(
        self, association: "Association", connection: TlsConnection, run: Callable[[], None]
    ) -> None:
        """Exchanges PDUs once the handshake has succeeded."""
        release_service(association)
        if self._is_secured(association, connection):
            run()

    def _is_secured(self, association: "Association", connection: TlsConnection) -> bool:
        connection.settimeout(self._timeout_s)
        address = association.requestor.address
        try:
            first = _first_byte(connection)
        except OSError:
            first = None
        if first is None:  # neither a person nor a DICOM node misses an answer
            _LOG.info("tls.connection_without_data", address=address)
            return False
        if first != TLS_HANDSHAKE:
            self._reject(association, ListenerRejection.TLS_EXPECTED, "no TLS")
            return False
        try:
            connection.do_handshake()
        except OSError as error:
            self._reject(association, rejection_of(error), _text(error))
            return False
        certificate = PeerCertificate.of(connection)
        if certificate is not None:
            self._certificates[association] = certificate
        _LOG.info("tls.secured", address=address, version=connection.version())
        return True

    def _reject(self, association: "Association", reason: ListenerRejection, text: str) -> None:
        _LOG.warning(
            "tls.rejected", address=association.requestor.address, reason=reason, error=text
        )
        self._record(association, reason)


def rejection_of(error: OSError) -> ListenerRejection:
    """Returns the reason of a handshake that has failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        expired = error.verify_code in _EXPIRED
        return (
            ListenerRejection.CERTIFICATE_EXPIRED
            if expired
            else ListenerRejection.CERTIFICATE_NOT_TRUSTED
        )
    name = str(getattr(error, "reason", "") or "")
    return next((reason for part, reason in _REASONS if part in name), ListenerRejection.TLS_FAILED)


def _text(error: OSError) -> str:
    verification = getattr(error, "verify_message", "")
    return str(verification or getattr(error, "reason", "") or error)[:200]


def _first_byte(connection: TlsConnection) -> int | None:
    """Returns the first byte that the sender has sent, which stays to be read; None without one."""
    # Not the method of a TLS connection, which reads what is decrypted.
    piece = socket.socket.recv(connection, 1, socket.MSG_PEEK)
    return piece[0] if piece else None


def accept_securely(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """Returns the accepted connection for TLS, before its handshake.

    Raises:
        OSError: the sender has closed it already.
    """
    try:
        return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:
        with suppress(OSError):
            connection.close()
        raise ConnectionAbortedError("the sender closed the connection") from error
