"""The ports on which the listener accepts associations: without TLS, with TLS, or both."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pynetdicom import AE, evt

from node.dimse.pynetdicom_internals import connection_of
from node.dimse.tls.connection import TlsConnection, cut_off
from node.domain.errors import Misconfigured
from pacs_listener.policy import AssociationPolicy
from pacs_listener.processes.limited_server import LimitedServer
from pacs_listener.processes.share import PLAIN_KEY, TLS_KEY, ListenerShare, cannot_listen

if TYPE_CHECKING:
    from pynetdicom.association import Association

# Connections above the associations: those to reject, and those without a request yet.
SPARE_CONNECTIONS = 25
# The interval at which a stop checks whether the last association has ended.
_STOP_POLL_S = 0.05


class OpenPorts:
    """The open ports; `plain` and `tls` are their numbers, 0 where there is no such port."""

    def __init__(
        self,
        ae: AE,
        policy: AssociationPolicy,
        handlers: Sequence[evt.EventHandlerType],
        share: ListenerShare,
    ) -> None:
        """Opens the ports of the policy, and accepts associations on threads of its own.

        Sockets that the share has are open already.

        Raises:
            Misconfigured: the address cannot be listened on, or the certificates cannot be used.
        """
        context = None if policy.tls is None else policy.tls.context()
        self._plain = None
        self._tls = None
        try:
            if policy.port is not None:
                address = (policy.host, policy.port)
                self._plain = _open_port(ae, address, handlers, share, PLAIN_KEY)
            if policy.tls is not None:
                address = (policy.host, policy.tls.port)
                self._tls = _open_port(ae, address, handlers, share, TLS_KEY)
                self._tls.tls_context = context
        except Misconfigured:
            for server in self._servers:
                server.server_close()
            raise
        self.plain, self.tls = _number(self._plain), _number(self._tls)
        self.set_policy(policy)
        for server in self._servers:
            threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()

    @property
    def _servers(self) -> list[LimitedServer]:
        return [server for server in (self._plain, self._tls) if server is not None]

    @property
    def associations(self) -> list["Association"]:
        """Every association, and every connection that has not requested one yet."""
        return [one for server in self._servers for one in server.active_associations]

    def set_policy(self, policy: AssociationPolicy) -> None:
        """Applies a policy with the same ports to new connections."""
        for server in self._servers:
            server.max_connections = policy.max_associations + SPARE_CONNECTIONS
            server.ae_title = str(policy.ae_title)

    def renew_certificates(self, policy: AssociationPolicy) -> None:
        """Uses the certificates that the files hold now, for new connections.

        Raises:
            Misconfigured: they cannot be used; the earlier ones stay in use.
        """
        if self._tls is not None and policy.tls is not None:
            self._tls.tls_context = policy.tls.context()

    def close(self, grace_s: float) -> None:
        """Accepts no new association, and aborts running ones after `grace_s` seconds."""
        for server in self._servers:
            server.shutdown()
        pause = threading.Event()
        for _ in range(round(grace_s / _STOP_POLL_S)):
            # A connection without an association has nothing to finish.
            if not any(a.is_established for a in self.associations):
                break
            pause.wait(_STOP_POLL_S)
        for association in self.associations:
            connection = connection_of(association)
            association.abort()
            if isinstance(connection, TlsConnection):
                with suppress(OSError):
                    cut_off(connection)  # it may be within its handshake


def _open_port(
    ae: AE,
    address: tuple[str, int],
    handlers: Sequence[evt.EventHandlerType],
    share: ListenerShare,
    key: str,
) -> LimitedServer:
    try:
        server = ae.make_server(
            address,
            evt_handlers=list(handlers),
            server_class=LimitedServer,
            inherited=share.sockets.get(key),
            shared=share.limits,
        )
    except OSError as error:
        raise cannot_listen(address, key, error) from error
    assert isinstance(server, LimitedServer)  # noqa: S101 the requested class
    return server


def _number(server: LimitedServer | None) -> int:
    return 0 if server is None else int(server.server_address[1])
