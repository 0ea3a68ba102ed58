"""What clients may cost that begin no TLS handshake: they are closed, and others are served."""

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse

from node.tls.certificate_files import TlsFiles
from node.tls.contexts import ServerCertificate
from node.web.server import tls_handshakes
from node.web.server.ports import WebPort
from tests.support.certificate_authority import CertificateAuthority
from tests.support.servers.web_server import WebServer
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(120)
_WAIT_S = 60.0
_SHORT_S = 0.2


@dataclass(frozen=True)
class Served:
    """A server by HTTPS on loopback, which greets."""

    port: int
    authority: CertificateAuthority

    def silent(self) -> socket.socket:
        """Opens a connection that says nothing."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_WAIT_S)

    def greeting(self) -> str:
        context = ssl.create_default_context(cafile=self.authority.file)
        return httpx.get(f"https://127.0.0.1:{self.port}/", verify=context, timeout=_WAIT_S).text

    def greets(self) -> bool:
        try:
            return self.greeting() == "hello"
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    authority = CertificateAuthority.create(tmp_path_factory.mktemp("authority"))
    issued = authority.issue("server")
    certificate = ServerCertificate(TlsFiles(None, issued.certificate, issued.key))
    app = FastAPI()
    app.add_api_route("/", lambda: PlainTextResponse("hello"))
    listening = socket.create_server(("127.0.0.1", 0))
    server = WebServer(app, WebPort(listening, app, certificate.context))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        made = Served(listening.getsockname()[1], authority)
        until(made.greets, _WAIT_S, "the server to start")
        yield made
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def test_a_client_that_begins_no_handshake_is_closed(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_handshakes, "MAX_HANDSHAKE_SECONDS", _SHORT_S)
    with served.silent() as silent:
        assert silent.recv(1) == b""


def test_a_handshake_that_arrives_byte_by_byte_is_ended(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_handshakes, "MAX_HANDSHAKE_SECONDS", _SHORT_S)
    with served.silent() as slow, pytest.raises(ConnectionError):
        slow.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")  # the head of a ClientHello
        for _ in range(500):
            if select.select([slow], [], [], _SHORT_S / 10)[0] and not slow.recv(1):
                raise ConnectionResetError
            slow.sendall(b"\x03")


def test_silent_clients_hold_up_nobody(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(served.silent())
        assert served.greeting() == "hello"


@pytest.mark.parametrize("limit", ["MAX_HANDSHAKES", "MAX_HANDSHAKES_OF_CLIENT"])
def test_handshakes_above_the_limit_are_closed_and_later_ones_served(
    served: Served, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    until(served.greets, _WAIT_S, "the handshakes of other tests to end")
    monkeypatch.setattr(tls_handshakes, limit, 3)
    # As if the client were on another machine.
    monkeypatch.setattr(tls_handshakes, "is_loopback", lambda _: False)
    with ExitStack() as stack:
        silent = [stack.enter_context(served.silent()) for _ in range(4)]
        assert silent[3].recv(1) == b""
        assert not served.greets()
    until(served.greets, _WAIT_S, "the next client")
