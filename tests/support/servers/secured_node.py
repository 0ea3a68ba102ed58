"""A served node that needs a login, by HTTPS or by HTTP, and what its clients need."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from node.access.api_tokens import TokenKeeper
from node.domain.access.permissions import Permission, Role
from node.tls.certificate_files import TlsFiles
from node.tls.contexts import ServerCertificate
from tests.support.certificate_authority import CertificateAuthority
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import add_user

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class SecuredNode:
    """The node, what a client needs that trusts it (None for HTTP), and a token.

    The client needs TLS settings or the file of the authority. The token is that of a program that
    may do everything.
    """

    node: ServedNode
    context: ssl.SSLContext | None
    ca_file: Path | None
    token: str

    @property
    def authorization(self) -> dict[str, str]:
        """The header of the program."""
        return {"Authorization": f"Bearer {self.token}"}

    def program(self, base_url: str = "") -> httpx.Client:
        """Returns the program, which opens a connection for each request."""
        # On a reused connection, each response waits for an acknowledgement.
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(
            base_url=base_url,
            headers=self.authorization,
            verify=self.context or True,
            limits=limits,
            timeout=_TIMEOUT_S,
        )

    def stranger(self) -> httpx.Client:
        """Returns a client without a login."""
        return httpx.Client(verify=self.context or True, timeout=_TIMEOUT_S)

    def connected(self) -> socket.socket:
        """Opens a connection for any bytes, within TLS where the node takes HTTPS."""
        host, _, port = self.node.url.partition("://")[2].partition(":")
        connection = socket.create_connection((host, int(port)), timeout=_TIMEOUT_S)
        if self.context is None:
            return connection
        return self.context.wrap_socket(connection, server_hostname=host)


@contextmanager
def secured_node(
    folder: Path, configuration: str = "", *, https: bool = True
) -> Iterator[SecuredNode]:
    """Serves a node in `folder` that needs a login, with this TOML configuration."""
    server, ca_file = None, None
    if https:
        authority = CertificateAuthority.create(folder.parent / f"{folder.name}-tls")
        server, ca_file = _server_context(authority), authority.file
    client = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
    with served_node(folder, configuration, login="required", tls=server) as node:
        add_user(node.store, "ada", Role.ADMINISTRATOR)
        keeper = TokenKeeper(node.store, "ada", 1)
        valid = timedelta(days=1)
        token = keeper.create("program", frozenset(Permission), valid, datetime.now(UTC))
        yield SecuredNode(node, client, ca_file, token)


def _server_context(authority: CertificateAuthority) -> ssl.SSLContext:
    issued = authority.issue("server")
    return ServerCertificate(TlsFiles(None, issued.certificate, issued.key)).context
