"""A TLS connection of an association, as pynetdicom can use it.

pynetdicom asks by `select` whether data has arrived, and then reads until it has a whole PDU. With
TLS, what has arrived may be no data: a session ticket, or a part of a record. pynetdicom would wait
for the rest, and send nothing meanwhile. So this connection reads ahead, without waiting.
"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

# A TLS record holds at most so much (RFC 8446 5.1).
_RECORD_BYTES = 1 << 14


class ClientContext(ssl.SSLContext):
    """The TLS settings of one connection that the node opens.

    `failure` is why the connection failed after it was open.
    """

    failure: OSError | None = None


class TlsConnection(ssl.SSLSocket):
    """Reads ahead, keeps its first failure, and signals the end of the data to the peer.

    One thread uses it: the one that makes the handshake. Others may only shut it down or close it.
    """

    _read_ahead: bytes = b""
    _has_ended: bool = False
    _user: int | None = None  # the thread

    @property
    def has_read_ahead(self) -> bool:
        """Whether `recv` returns at once."""
        return bool(self._read_ahead) or self._has_ended

    def reads_ahead(self) -> bool:
        """Reads what has arrived, without waiting; returns whether `recv` returns at once.

        Raises:
            OSError: the connection has failed.
        """
        if self.has_read_ahead:
            return True
        timeout_s = self.gettimeout()
        self.settimeout(0.0)
        try:
            self._read_ahead = self.recv(_RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        finally:
            self.settimeout(timeout_s)
        self._has_ended = not self._read_ahead
        return True

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Returns up to `buflen` bytes; none where the peer has closed the connection."""
        if self._read_ahead:
            piece, self._read_ahead = self._read_ahead[:buflen], self._read_ahead[buflen:]
            return piece
        if self._has_ended:
            return b""
        with self._failure_kept():
            return super().recv(buflen, flags)

    def recv_into(self, buffer: "Buffer", nbytes: int | None = None, flags: int = 0) -> int:
        """Reads into the buffer, as `recv` does; returns the number of bytes."""
        if not self.has_read_ahead:
            with self._failure_kept():
                return super().recv_into(buffer, nbytes, flags)
        target = memoryview(buffer)
        piece = self.recv(len(target) if nbytes is None else nbytes, flags)
        target[: len(piece)] = piece
        return len(piece)

    def do_handshake(self, block: bool = False) -> None:
        """Agrees on keys and certificates with the peer, within the timeout of the socket."""
        self._user = threading.get_ident()
        with self._failure_kept():
            super().do_handshake(block)

    def shutdown(self, how: int) -> None:
        """Ends the connection; the peer learns that nothing was cut off."""
        if self._user != threading.get_ident():
            socket.socket.shutdown(self, how)
            return
        with suppress(OSError, ValueError):  # it may have ended already
            self.settimeout(0.0)
            self.unwrap()
        super().shutdown(how)

    @contextmanager
    def _failure_kept(self) -> Iterator[None]:
        try:
            yield
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            context = self.context
            if isinstance(context, ClientContext) and self._user is not None:
                context.failure = context.failure or error
            raise
        except (ValueError, AttributeError) as error:  # what Python says of a closed connection
            raise ConnectionAbortedError("the connection was closed meanwhile") from error


def cut_off(connection: socket.socket) -> None:
    """Ends a connection that another thread may be reading from."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
