"""Why a server has closed a connection: what it says about the node's certificate."""

import socket

from node.tls.certificate_files import TlsFiles
from node.tls.contexts import client_context
from node.tls.failures import CLOSED_BY_SERVER, TlsFailure, tls_failure

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 2.0


def refusal(host: str, port: int, files: TlsFiles) -> TlsFailure | None:
    """Connects once more, sends nothing, and returns why the server ends the connection.

    With TLS 1.3, a server checks the certificate of its client after the client's part of the
    handshake (RFC 8446 4.4). What the client sends meanwhile ends the connection, often before the
    client has read the reason. Returns None where the server keeps the connection open.
    """
    try:
        context = client_context(files)
        with (
            socket.create_connection((host, port), _CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.settimeout(_ANSWER_SECONDS)
            return None if secured.recv(1) else CLOSED_BY_SERVER
    except (OSError, ValueError) as error:  # also where the server keeps the connection open
        return tls_failure(error, files)
