"""TLS settings for Python, of a server and of a client."""

import ssl
from typing import NoReturn

from node.tls.certificate_files import TlsFiles

# Forward secrecy and authenticated encryption, as BCP 195 recommends (RFC 9325 4.2).
RECOMMENDED_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ServerCertificate:
    """The certificate of a server, which can be renewed while the server runs.

    `context` is for the whole life of the server. Each handshake uses the certificate that is
    current at its time; open connections keep theirs.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Reads the files.

        Raises:
            OSError: a file is missing, or certificate and key do not fit.
            ValueError: the key needs a password.
        """
        self._current = _server_context(files)
        self.context = _server_context(files)
        # OpenSSL calls this in each handshake, also where the client names no server.
        self.context.sni_callback = self._select

    def renew(self, files: TlsFiles) -> None:
        """Uses these files in the handshakes from now on; after an error, the former certificate.

        Raises:
            OSError: see the constructor.
            ValueError: see the constructor.
        """
        self._current = _server_context(files)

    def _select(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        connection.context = self._current


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Returns the TLS settings of a connection to a server.

    Raises:
        OSError: a file is missing, or certificate and key do not fit.
        ValueError: the key needs a password.
    """
    context = ssl.create_default_context(cafile=files.ca)
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key, _refuse_password)
    return context


def _server_context(files: TlsFiles) -> ssl.SSLContext:
    assert files.certificate is not None  # noqa: S101 a server has a certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(RECOMMENDED_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(files.certificate, files.key, _refuse_password)
    return context


def _refuse_password() -> NoReturn:
    """Instead of a question on the terminal."""
    raise ValueError("the key is protected by a password")
