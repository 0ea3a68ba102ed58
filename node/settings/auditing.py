"""The settings of the audit trail."""

from typing import Annotated

from node.settings.network.tls_files import TlsFileOptions
from node.settings.value_types import Boolean, Host, Options, Positive, Whole, within


class SyslogOptions(TlsFileOptions):
    """A syslog server that receives each record, by TLS (RFC 5425) unless `tls` is false.

    `timeout_seconds` limits each step: connection, handshake, and until the server has read all.
    """

    host: Host
    port: Annotated[Whole, within(1, 65535)] = 6514
    tls: Boolean = True
    timeout_seconds: Positive = 15.0


class AuditOptions(Options):
    """Where records of the audit trail go besides the database."""

    syslog: SyslogOptions | None = None
