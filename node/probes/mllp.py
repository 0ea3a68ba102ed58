"""Probe of a receiver of HL7 messages: connects and sends nothing."""

import ssl

from node.probes.tcp import connected
from node.probes.tls import file_failure, no_tls
from node.settings import Hl7Destination
from node.tls.contexts import client_context
from node.tls.failures import CLOSED_BY_SERVER, tls_failure

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
                if _is_closed(secured):
                    raise no_tls(address, CLOSED_BY_SERVER)
        except OSError as error:  # also of TLS: ssl.SSLError is an OSError
            failure = tls_failure(error, options.tls_files) or CLOSED_BY_SERVER
            raise no_tls(address, failure) from error


def _is_closed(secured: ssl.SSLSocket) -> bool:
    """Whether the server closes the connection at once; it may raise the reason."""
    secured.settimeout(_REFUSAL_S)
    try:
        return not secured.recv(1)
    except TimeoutError:
        return False


def _context(options: Hl7Destination, address: str) -> ssl.SSLContext:
    try:
        return client_context(options.tls_files)
    except (OSError, ValueError) as error:
        raise file_failure(address, options.tls_files, error) from error
