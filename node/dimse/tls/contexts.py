"""TLS settings for Python: those of the listener, and those of a connection that the node opens."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from node.dimse.tls.certificate_files import certificate_mistakes
from node.dimse.tls.connection import ClientContext, TlsConnection
from node.dimse.tls.peer_certificate import PeerCertificate
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.errors import Misconfigured
from node.settings import DicomTlsOptions

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}


@dataclass(frozen=True)
class PeerTls:
    """How the node connects to a peer by TLS.

    `server_name` is the name that the peer's certificate must hold. `ca_file` holds the authorities
    to trust; None: those of the system. `observe` gets the certificate that the peer has shown.
    """

    options: DicomTlsOptions
    server_name: str
    ca_file: Path | None
    observe: Callable[[PeerCertificate], None] | None = field(default=None, compare=False)

    def context(self) -> ClientContext:
        """Returns the settings of one connection; reads the files again, which may be renewed.

        Raises:
            ConnectionFailure: a file is missing or cannot be used.
        """
        context = ClientContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            _apply(context, self.options)
            if self.ca_file is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self.ca_file)
        except (OSError, ValueError) as error:
            mistakes = [mistake.message for mistake in certificate_mistakes(self.options)]
            reason = mistakes[0] if mistakes else f"{self.ca_file} cannot be used ({error})"
            raise ConnectionFailure(
                ConnectionFault.CONFIGURATION,
                f"the TLS files of the node cannot be used: {reason}",
                "check [dicom_tls] and the peer's ca_file",
            ) from error
        return context


def server_context(
    options: DicomTlsOptions, client_certificates: Literal["required", "optional", "none"]
) -> ssl.SSLContext:
    """Returns the settings of the listener's TLS port.

    Raises:
        Misconfigured: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = _CLIENTS[client_certificates]
    # Associations are long, and no DICOM toolkit resumes sessions by tickets.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    try:
        _apply(context, options)
        if options.ca_file is not None:
            context.load_verify_locations(options.ca_file)
    except (OSError, ValueError) as error:
        message = f"the TLS files cannot be used ({error}): check them with segnode check"
        raise Misconfigured(message, key="dicom_tls") from error
    return context


def _apply(context: ssl.SSLContext, options: DicomTlsOptions) -> None:
    """Applies what both directions share.

    Raises:
        OSError: a file is missing, or certificate and key do not fit.
        ValueError: the key needs a password.
    """
    context.sslsocket_class = TlsConnection
    context.minimum_version = _VERSIONS[options.minimum_version]
    context.set_ciphers(options.ciphers)
    context.options |= ssl.OP_NO_RENEGOTIATION
    if options.certificate_file is not None:
        context.load_cert_chain(options.certificate_file, options.key_file, _no_password)


def _no_password() -> str:
    """Instead of a question on the terminal."""
    raise ValueError("the key is protected by a password")
