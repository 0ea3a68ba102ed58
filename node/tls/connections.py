"""Connections to a server by TCP, with or without TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from node.domain.errors import Transient
from node.tls.certificate_files import TlsFiles
from node.tls.contexts import client_context
from node.tls.failures import CLOSED_BY_SERVER, tls_failure


@dataclass(frozen=True)
class StreamServer:
    """A server of a byte stream; `tls` is None for plain TCP.

    `name` names it in messages, and `program` what must run there. `timeout_seconds` limits the
    connection, the handshake, and each step afterwards.
    """

    name: str
    program: str
    host: str
    port: int
    timeout_seconds: float
    tls: TlsFiles | None

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """Opens a connection, and closes it at the end.

        Raises:
            Transient: there is none; the message says what to check.
        """
        try:
            context = None if self.tls is None else client_context(self.tls)
        except (OSError, ValueError) as error:
            raise self.no_tls(error) from error
        try:
            plain = socket.create_connection((self.host, self.port), self.timeout_seconds)
        except OSError as error:
            raise Transient(
                f"{self.name} does not answer: {error.strerror or error}; check host and port, and "
                f"that {self.program} runs"
            ) from error
        with plain:
            if context is None:
                yield plain
                return
            with self._secured(context, plain) as secured:
                yield secured

    def no_tls(self, error: Exception) -> Transient:
        """Returns the error about a connection that has failed because of TLS."""
        failure = tls_failure(error, self.tls or TlsFiles()) or CLOSED_BY_SERVER
        return Transient(f"{self.name} and the node agree on no TLS connection: {failure}")

    def _secured(self, context: ssl.SSLContext, plain: socket.socket) -> ssl.SSLSocket:
        try:
            return context.wrap_socket(plain, server_hostname=self.host)
        except OSError as error:  # also of TLS: ssl.SSLError is an OSError
            raise self.no_tls(error) from error
