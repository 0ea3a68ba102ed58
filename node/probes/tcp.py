"""The reason why a TCP connection is not possible, and whether a server expects TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from node.domain.connections.failure import ConnectionFailure, ConnectionFault

_ANSWER_BYTES = 1 << 14
# A server that expects TLS answers at once.
_TLS_ANSWER_S = 2.0


@contextmanager
def connected(host: str, port: int, timeout_s: float) -> Iterator[socket.socket]:
    """Opens a connection and closes it at the end of the block.

    Raises:
        ConnectionFailure: there is no connection; it names the reason.
    """
    try:
        connection = socket.create_connection((host, port), timeout_s)
    except OSError as error:
        raise connection_failure(error, host, port, timeout_s) from error
    with connection:
        yield connection


def speaks_tls(connection: socket.socket) -> bool:
    """Whether the server begins a TLS handshake, with any certificate; sends nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = context.wrap_bio(incoming := ssl.MemoryBIO(), outgoing := ssl.MemoryBIO())
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    try:
        connection.settimeout(_TLS_ANSWER_S)
        connection.sendall(outgoing.read())
        incoming.write(connection.recv(_ANSWER_BYTES))
        client.do_handshake()
    except ssl.SSLWantReadError:
        return True  # it has answered with the first part of a handshake
    except OSError as error:
        return "ALERT" in str(getattr(error, "reason", ""))
    return True


def connection_failure(error: OSError, host: str, port: int, timeout_s: float) -> ConnectionFailure:
    """Returns the failure for the error of a connection."""
    match error:
        case socket.gaierror():
            return ConnectionFailure(
                ConnectionFault.NAME_NOT_FOUND,
                f"the name {host} is not known on this machine",
                "check its spelling, or enter the IP address",
            )
        case ConnectionRefusedError():
            return ConnectionFailure(
                ConnectionFault.CONNECTION_REFUSED,
                f"the host {host} refuses connections to port {port}",
                "check the port, and that the server runs",
            )
        case TimeoutError():
            return ConnectionFailure(
                ConnectionFault.TIMEOUT,
                f"{host}:{port} does not answer within {timeout_s:g} s",
                "check the address, and that no firewall is between it and this machine",
            )
        case _:
            return ConnectionFailure(
                ConnectionFault.UNREACHABLE,
                f"{host}:{port} cannot be reached ({error.strerror or error})",
                "check the address and the network of this machine",
            )
