"""An authorization server of another maker (oidc-provider), and a DICOMweb server behind it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import requests

from node.demo.free_ports import free_ports
from tests.support.npm_tools import npm_tool

CLIENT, CLIENT_OF_BODY, CLIENT_WITHOUT_GRANT = "segnode", "poster", "denied"
CLIENT_SECRET = "a+secret/with:signs%"
SCOPE, SCOPE_OF_OTHERS = "dicomweb", "other"


@dataclass(frozen=True)
class TokenServer:
    """The server; `url` is its root."""

    url: str

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"{self.url}/token"

    @property
    def dicomweb_url(self) -> str:
        """The root of the DICOMweb server, which takes valid tokens with the scope alone."""
        return f"{self.url}/dicom-web"

    def revoke(self, authorization: str) -> None:
        """Revokes the token in a header (RFC 7009)."""
        requests.post(
            f"{self.url}/token/revocation",
            data={"token": authorization.removeprefix("Bearer ")},
            auth=(CLIENT, quote(CLIENT_SECRET, safe="")),
            timeout=10,
        ).raise_for_status()

    def set_allowed(self, *, allowed: bool) -> None:
        """Says whether the DICOMweb server allows what a valid token asks for."""
        path = "allow" if allowed else "forbid"
        requests.post(f"{self.url}/{path}", timeout=10).raise_for_status()


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Runs the server on a free port; skips where npm is not installed."""
    (port,) = free_ports(1)
    command = [*npm_tool("token_server.js"), str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n", "it does not start"
            yield TokenServer(f"http://127.0.0.1:{port}")
        finally:
            process.kill()
