"""Probe of a receiver of HL7 messages: connects and sends nothing."""

import socket
import ssl
from contextlib import suppress

from node.delivery.his.mllp import TlsFiles, tls_context
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.errors import Transient
from node.probes.tcp import connected
from node.settings import Hl7Destination

TIMEOUT_S = 10.0
# With TLS 1.3, a server refuses our certificate after the handshake, at once.
_REFUSAL_S = 0.5


def connect(options: Hl7Destination) -> None:
    """Connects to the receiver, with TLS where the settings want it.

    Raises:
        ConnectionFailure: no connection, or no TLS.
    """
    address = f"{options.host}:{options.port}"
    context = _context(options, address) if options.tls else None
    with connected(options.host, options.port, TIMEOUT_S) as plain:
        if context is None:
            return
        try:
            with context.wrap_socket(plain, server_hostname=options.host) as secured:
                _wait_for_refusal(secured)
        except OSError as error:  # also of TLS: ssl.SSLError is an OSError
            reason = getattr(error, "verify_message", "") or error.strerror or error
            raise ConnectionFailure(
                ConnectionFault.TLS,
                f"{address} and the node agree on no TLS connection ({reason})",
                "check tls, ca_file and the certificates on both sides",
            ) from error


def _wait_for_refusal(secured: ssl.SSLSocket) -> None:
    secured.settimeout(_REFUSAL_S)
    with suppress(TimeoutError, socket.timeout):
        secured.recv(1)


def _context(options: Hl7Destination, address: str) -> ssl.SSLContext:
    files = TlsFiles(options.ca_file, options.certificate_file, options.key_file)
    try:
        return tls_context(files, address)
    except Transient as error:
        raise ConnectionFailure(
            ConnectionFault.CONFIGURATION,
            str(error).partition(";")[0],
            "check ca_file, certificate_file and key_file",
        ) from error
