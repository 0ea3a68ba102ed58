"""A port of a listener, with TLS or without, as the peers of tests connect to it."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from node.dimse.tls.contexts import PeerTls
from node.settings import DicomTlsOptions
from tests.support.certificate_authority import CertificateAuthority, Issued


@dataclass(frozen=True)
class SecurePort:
    """A port for TLS on loopback, and how a peer connects to it."""

    number: int
    context: ssl.SSLContext


Port = int | SecurePort


def number_of(port: Port) -> int:
    """Returns the number of a port."""
    return port.number if isinstance(port, SecurePort) else port


def tls_of(port: Port) -> tuple[ssl.SSLContext, str] | None:
    """Returns what pynetdicom calls `tls_args` for an association with a port."""
    return (port.context, "127.0.0.1") if isinstance(port, SecurePort) else None


def open_connection(port: Port, timeout_s: float) -> socket.socket:
    """Connects to a port on loopback; makes the handshake where it is for TLS."""
    connection = socket.create_connection(("127.0.0.1", number_of(port)), timeout_s)
    if not isinstance(port, SecurePort):
        return connection
    try:
        return port.context.wrap_socket(connection, server_hostname="127.0.0.1")
    except OSError:
        connection.close()
        raise


def client_context(authority: CertificateAuthority, shown: Issued | None = None) -> ssl.SSLContext:
    """Returns how a peer connects that trusts the authority, and shows a certificate if given."""
    context = ssl.create_default_context(cafile=authority.file)
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    return context


@dataclass(frozen=True)
class TlsSite:
    """The certificates of a node, of a sender and of a PACS, of one authority."""

    authority: CertificateAuthority
    node: Issued
    sender: Issued
    pacs: Issued

    @classmethod
    def create(cls, folder: Path) -> "TlsSite":
        """Creates them in a folder."""
        authority = CertificateAuthority.create(folder)
        node, sender, pacs = (authority.issue(name) for name in ("node", "ct1", "pacs"))
        return cls(authority, node, sender, pacs)

    @property
    def settings(self) -> str:
        """The table [dicom_tls] of the node."""
        return (
            f'[dicom_tls]\ncertificate_file = "{self.node.certificate}"\n'
            f'key_file = "{self.node.key}"\nca_file = "{self.authority.file}"\n'
        )

    def orthanc_settings(self) -> dict[str, object]:
        """The settings of an Orthanc that takes and opens TLS associations alone."""
        return {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(self.pacs.certificate),
            "DicomTlsPrivateKey": str(self.pacs.key),
            "DicomTlsTrustedCertificates": str(self.authority.file),
        }

    def https_context(self) -> ssl.SSLContext:
        """Returns how a server of the site takes HTTPS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pacs.certificate, self.pacs.key)
        return context

    def pacs_context(self) -> ssl.SSLContext:
        """Returns how the PACS takes associations."""
        context = self.https_context()
        context.load_verify_locations(self.authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    @property
    def of_sender(self) -> PeerTls:
        """How the sender connects to the node, where it is the node's own code."""
        options = DicomTlsOptions(
            certificate_file=self.sender.certificate, key_file=self.sender.key
        )
        return PeerTls(options, "127.0.0.1", self.authority.file)

    def port(self, number: int) -> SecurePort:
        """Returns the node's port for TLS, as the sender connects to it."""
        return SecurePort(number, client_context(self.authority, self.sender))
