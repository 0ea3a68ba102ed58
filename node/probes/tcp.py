"""The reason why a TCP connection is not possible."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from node.domain.connections.failure import ConnectionFailure, ConnectionFault


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
                f"{host} refuses connections to port {port}",
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
