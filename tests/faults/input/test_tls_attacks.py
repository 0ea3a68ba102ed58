"""Weak ciphers and renegotiation, on the port for DICOM over TLS and on that for HTTPS."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificate_authority import Issued
from tests.support.peers.secure_port import client_context
from tests.support.servers.ruled_listener import ruled_listener
from tests.support.servers.secured_node import secured_node

_WAIT_S = 60.0


@dataclass(frozen=True)
class Attacked:
    """A port for TLS, and a certificate that it accepts."""

    number: int
    context: ssl.SSLContext
    shown: Issued | None = None

    def offered(self, cipher: str) -> ssl.SSLContext:
        """Returns the context with one cipher of TLS 1.2, however weak."""
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_ciphers(f"{cipher}:@SECLEVEL=0")
        return self.context

    def version(self, context: ssl.SSLContext) -> str | None:
        """Returns the version of TLS after a handshake."""
        with (
            socket.create_connection(("127.0.0.1", self.number), timeout=_WAIT_S) as connection,
            context.wrap_socket(connection, server_hostname="127.0.0.1") as secured,
        ):
            return secured.version()


@pytest.fixture(params=["dicom", "https"], scope="module")
def attacked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("node")
    if request.param == "https":
        with secured_node(folder) as node:
            assert node.context is not None
            yield Attacked(int(node.node.url.rpartition(":")[2]), node.context)
        return
    with ruled_listener(folder, "") as listener:
        site = listener.certificates
        context = client_context(site.authority, site.sender)
        yield Attacked(listener.listener.tls_port, context, site.sender)


# CBC with SHA-1 and SHA-2, no encryption, no authentication, no forward secrecy, a short tag.
WEAK = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-ECDSA-CAMELLIA256-SHA384",
    "ECDHE-ECDSA-NULL-SHA",
    "AECDH-AES256-SHA",
    "AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-CCM8",
)


@pytest.mark.parametrize("cipher", WEAK)
def test_a_client_that_offers_a_weak_cipher_alone_is_refused(
    attacked: Attacked, cipher: str
) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        attacked.version(attacked.offered(cipher))
    assert attacked.version(attacked.offered("ECDHE-ECDSA-AES128-GCM-SHA256")) == "TLSv1.2"


def test_a_client_that_renegotiates_is_refused(attacked: Attacked, tmp_path: Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    shown: list[object] = []
    if attacked.shown is not None:
        shown = ["-cert", attacked.shown.certificate, "-key", attacked.shown.key]
    address = f"127.0.0.1:{attacked.number}"
    command = [program, "s_client", "-connect", address, "-tls1_2", *map(str, shown)]
    client = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert client.stdin is not None
    client.stdin.write("R\n")  # s_client then begins another handshake
    client.stdin.flush()
    # The input stays open, so that the client ends by the answer alone.
    assert client.stdout is not None
    said = client.stdout.read()
    client.stdin.close()
    client.wait(_WAIT_S)
    client.stdout.close()
    assert "Cipher is ECDHE" in said
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said
