"""Sends records of the audit trail to a syslog server (PS3.15 A.6; RFC 5424, RFC 5425)."""

import fcntl
import os
import re
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Self

from node.audit.dicom_message import audit_message
from node.domain.audit.records import AuditOutcome
from node.domain.errors import Transient
from node.settings.auditing import SyslogOptions
from node.store.audit_trail.chain import ChainedRecord
from node.tls.certificate_files import TlsFiles
from node.tls.connections import StreamServer

# Facility 10 (security and authorization), severity 5 (notice) or 4 (warning): PS3.15 A.6.
_NOTICE, _WARNING = 10 * 8 + 5, 10 * 8 + 4
_MESSAGE_ID = "DICOM+RFC3881"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# RFC 5424 6: printable ASCII, at most 255 characters.
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")
_READ_BYTES = 4096
_ARRIVAL_POLL_S = 0.01


def syslog_message(record: ChainedRecord) -> bytes:
    """Returns the message of a record (RFC 5424); the record as DICOM XML is its content."""
    priority = _NOTICE if record.outcome == AuditOutcome.SUCCESS else _WARNING
    at = record.happened_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = _NOT_PRINTABLE.sub("-", record.chain)[:255] or "-"
    header = f"<{priority}>1 {at} {host} segnode - {_MESSAGE_ID} - "
    return header.encode("ascii") + _BYTE_ORDER_MARK + audit_message(record)


@dataclass(frozen=True)
class SyslogServer:
    """A syslog server; `tls` is None for plain TCP."""

    host: str
    port: int
    timeout_seconds: float
    tls: TlsFiles | None

    @classmethod
    def of(cls, options: SyslogOptions) -> Self:
        """Returns the server that the settings name."""
        tls = options.tls_files if options.tls else None
        return cls(options.host, options.port, options.timeout_seconds, tls)

    def __str__(self) -> str:
        return f"the syslog server {self.host}:{self.port}"

    def send(self, records: Sequence[ChainedRecord]) -> None:
        """Sends the records over a connection of their own, and waits until the server ends it.

        Syslog has no acknowledgement. A server ends the connection after it has read everything; if
        it does not, the records count as not sent.

        Raises:
            Transient: the records may not have arrived; the message says what to check.
        """
        frames = [syslog_message(record) for record in records]
        with self._server.connected() as connection:
            try:
                connection.sendall(b"".join(b"%d %s" % (len(each), each) for each in frames))
                _finish(connection)
            except TimeoutError as error:
                raise Transient(
                    f"{self} has not read the records within {self.timeout_seconds:g} s: check "
                    f"that it runs{self._certificate_hint}, and has space on its disk"
                ) from error
            except OSError as error:  # with TLS 1.3, a refused certificate shows here
                raise self._failed(error) from error

    @property
    def _server(self) -> StreamServer:
        return StreamServer(str(self), "it", self.host, self.port, self.timeout_seconds, self.tls)

    def _failed(self, error: OSError) -> Transient:
        if isinstance(error, ssl.SSLError):
            return self._server.no_tls(error)
        protocol = "syslog by TCP" if self.tls is None else "syslog by TLS"
        return Transient(
            f"{self} has closed the connection before it had read the records: check that the port "
            f"is for {protocol}, and that it accepts this node{self._certificate_hint}"
        )

    @property
    def _certificate_hint(self) -> str:
        return "" if self.tls is None else ", accepts its certificate (certificate_file)"


def _finish(connection: socket.socket) -> None:
    """Says that nothing follows, and waits until the server has read everything.

    Raises:
        OSError: the connection was cut before.
    """
    if isinstance(connection, ssl.SSLSocket):
        # Many servers end the connection without the last message of TLS.
        with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            connection.unwrap()
    else:
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(_READ_BYTES):
            pass
    _check_arrival(connection)


def _check_arrival(connection: socket.socket) -> None:
    """Waits until the machine of the server has acknowledged all bytes (TCP).

    A server that refuses the node may end the connection before it reads anything.

    Raises:
        OSError: the connection was cut before.
    """
    deadline = time.monotonic() + (connection.gettimeout() or 0.0)
    while _unacknowledged_bytes(connection) > 0:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_ARRIVAL_POLL_S)
    if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def _unacknowledged_bytes(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])
