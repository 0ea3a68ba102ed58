"""The web server by HTTPS: versions of TLS, headers, HTTP beside it, and renewal."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from node.demo.free_ports import free_ports
from tests.support.certificate_authority import CertificateAuthority, Issued
from tests.support.processes.hosts import Host
from tests.support.waiting import until

_SWITCH_S = 60.0
_CONFIGURATION = """
access.login = "none"
data_dir = "data"

[listener]
host = "127.0.0.1"

[web]
port = {port}
redirect_port = {redirect_port}
certificate_file = "own.pem"
key_file = "own.key"
"""


@dataclass(frozen=True)
class Site:
    """A node whose web process takes HTTPS."""

    host: Host
    authority: CertificateAuthority
    port: int
    redirect_port: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def context(self) -> ssl.SSLContext:
        """Returns the TLS settings of a client that trusts the authority."""
        return ssl.create_default_context(cafile=self.authority.file)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.context())

    def install(self, issued: Issued) -> None:
        """Makes this the certificate of the node."""
        folder = self.host.config.parent
        (folder / "own.key").write_bytes(issued.key.read_bytes())
        (folder / "own.pem").write_bytes(issued.certificate.read_bytes())

    def shown_serial(self) -> int:
        """Returns the serial number of the certificate in a new handshake."""
        text = ssl.get_server_certificate(("127.0.0.1", self.port))
        return x509.load_pem_x509_certificate(text.encode()).serial_number


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("https")
    authority = CertificateAuthority.create(folder / "authority")
    port, redirect_port = free_ports(2)
    made = Site(Host("host", folder / "segnode.toml", ["web"]), authority, port, redirect_port)
    (folder / "own.key").touch(mode=0o600)
    made.install(authority.issue("first"))
    text = _CONFIGURATION.format(port=port, redirect_port=redirect_port)
    made.host.config.write_text(text, encoding="utf-8")
    made.host.start()
    try:
        made.host.wait_ready()
        yield made
    finally:
        made.host.kill()


def serial_number(issued: Issued) -> int:
    return x509.load_pem_x509_certificate(issued.certificate.read_bytes()).serial_number


@pytest.mark.parametrize(
    ("version", "is_accepted"),
    [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_below_1_2_is_refused(site: Site, version: ssl.TLSVersion, is_accepted: bool) -> None:
    context = site.context()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")  # a client that allows the old versions
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        if is_accepted:
            with context.wrap_socket(connection, server_hostname="127.0.0.1") as secured:
                assert secured.version() == version.name.replace("_", ".")
            return
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_hostname="127.0.0.1")


def test_browsers_are_told_to_use_https_alone_and_only_by_https(site: Site) -> None:
    with site.client() as client:
        assert client.get("/").headers["Strict-Transport-Security"] == f"max-age={365 * 86400}"
    by_http = httpx.get(f"http://127.0.0.1:{site.redirect_port}/")
    assert "Strict-Transport-Security" not in by_http.headers


def test_http_on_the_port_for_https_is_closed_without_an_answer(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
        connection.sendall(b"GET /api/series HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = connection.recv(1000)
        # At most the alert of TLS; nothing of a response.
        assert b"HTTP" not in received
        assert connection.recv(1000) == b""


def test_http_leads_browsers_to_https_and_takes_nothing(site: Site) -> None:
    url = f"http://127.0.0.1:{site.redirect_port}/series?modality=CT"
    answer = httpx.get(url)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{site.url}/series?modality=CT"
    foreign = httpx.get(url, headers={"Host": "attacker.example"})
    assert foreign.status_code == 421
    posted = httpx.post(f"http://127.0.0.1:{site.redirect_port}/dicom-web/studies", content=b"x")
    assert posted.status_code == 403
    assert f"HTTPS alone, on port {site.port}" in posted.text


def test_a_renewed_certificate_is_used_without_cutting_connections(site: Site) -> None:
    second = site.authority.issue("second")
    with (
        site.client() as client,
        client.stream("GET", "/events/overview") as events,
    ):
        assert events.status_code == 200
        site.install(second)
        until(
            lambda: site.shown_serial() == serial_number(second), _SWITCH_S, "the new certificate"
        )
        assert next(events.iter_bytes())
    assert "process.ended" not in site.host.log()


def test_a_certificate_that_cannot_be_used_leaves_the_former_in_use(site: Site) -> None:
    used = site.shown_serial()
    other = site.authority.issue("other")
    folder = site.host.config.parent
    former = (folder / "own.pem").read_bytes()
    (folder / "own.pem").write_bytes(other.certificate.read_bytes())
    os.kill(site.host.session, signal.SIGHUP)
    until(lambda: "does not belong to the certificate" in site.host.log(), _SWITCH_S, "the refusal")
    assert site.shown_serial() == used
    (folder / "own.pem").write_bytes(former)
    with site.client() as client:
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("command", [("node.cli", "check"), ("node.processes.web",)])
def test_check_and_the_start_refuse_a_key_that_others_can_read(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    issued = CertificateAuthority.create(tmp_path / "authority").issue("own")
    issued.key.chmod(0o644)
    config = tmp_path / "segnode.toml"
    (port,) = free_ports(1)
    config.write_text(
        f'data_dir = "data"\n[web]\nport = {port}\ncertificate_file = "{issued.certificate}"\n'
        f'key_file = "{issued.key}"\n',
        encoding="utf-8",
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-m", *command, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    said = f"{config}: web.key_file: the private key in {issued.key} is open to other users"
    assert said in ended.stdout + ended.stderr
