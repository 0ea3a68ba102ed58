"""The secure form of the site of a fault test: DICOM by TLS, HTTPS, and a login.

Each function takes the certificates of the site, or None for the plain form.
"""

from datetime import UTC, datetime, timedelta

import httpx

from node.access.api_tokens import TokenKeeper
from node.dimse.scu import Remote
from node.domain.access.permissions import Permission, Role
from node.domain.identifiers import AeTitle
from node.store import Store
from tests.support.peers.secure_port import TlsSite, client_context

_TIMEOUT_S = 60.0
# Long enough for no warning that it expires soon.
_VALID = timedelta(days=365)


def secured(configuration: str, tls: TlsSite | None, tls_port: int = 0) -> str:
    """Returns the configuration with TLS and login; the node then takes plain DICOM, too."""
    if tls is None:
        return configuration
    files = f'certificate_file = "{tls.node.certificate}"\nkey_file = "{tls.node.key}"\n'
    additions = {
        "[listener]\n": f"{tls.settings}[listener]\ntls_port = {tls_port}\n",
        "[web]\n": f"[web]\n{files}",
        "[peers.pacs]\n": "[peers.pacs]\ntls = true\n",
        'access.login = "none"\n': "",
    }
    for former, new in additions.items():
        configuration = configuration.replace(former, new)
    return configuration


def orthanc_settings(tls: TlsSite | None) -> dict[str, object]:
    """Returns what an Orthanc needs as PACS of the site, beside the settings of every Orthanc."""
    return {} if tls is None else tls.orthanc_settings()


def listener_at(port: int, tls_port: int, tls: TlsSite | None) -> Remote:
    """Returns the listener as the sender of the site connects to it."""
    if tls is None:
        return Remote(AeTitle("SEGNODE"), "127.0.0.1", port)
    return Remote(AeTitle("SEGNODE"), "127.0.0.1", tls_port, tls.of_sender)


def new_token(store: Store) -> str:
    """Adds an administrator; returns a token of the account that may do everything."""
    now = datetime.now(UTC)
    store.add_user("ada", Role.ADMINISTRATOR, now)
    keeper = TokenKeeper(store, "ada", _VALID.days)
    return keeper.create("program", frozenset(Permission), _VALID, now)


def program_of(url: str, tls: TlsSite | None, token: str = "") -> httpx.Client:
    """Returns a program with a token; it opens a connection for each request.

    The web server may be killed between two of them.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(
        base_url=url,
        headers=headers,
        verify=True if tls is None else client_context(tls.authority),
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=_TIMEOUT_S,
    )
