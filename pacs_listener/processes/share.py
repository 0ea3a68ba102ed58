"""What a listener process has in common with those beside it: the open sockets and the limits."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from node.domain.errors import Misconfigured
from pacs_listener.policy import AssociationPolicy
from pacs_listener.processes.limited_server import BACKLOG
from pacs_listener.processes.shared_limits import SharedLimits

# The settings of the ports, by which their sockets are known.
PLAIN_KEY, TLS_KEY = "listener.port", "listener.tls_port"


@dataclass(frozen=True)
class ListenerShare:
    """The limits that all processes count together, and the sockets that they accept from.

    Without sockets, the listener opens its own; otherwise `address` is that of their policy.
    """

    limits: SharedLimits
    sockets: Mapping[str, socket.socket] = field(default_factory=dict)
    address: object = None

    @classmethod
    def alone(cls) -> "ListenerShare":
        """Returns that of a listener of one process."""
        return cls(SharedLimits.create(1))

    @classmethod
    def opened(cls, policy: AssociationPolicy) -> "ListenerShare":
        """Opens the ports of a policy for its processes, which are forked from this one.

        Raises:
            Misconfigured: the address cannot be listened on.
        """
        ports = {} if policy.port is None else {PLAIN_KEY: policy.port}
        if policy.tls is not None:
            ports[TLS_KEY] = policy.tls.port
        sockets: dict[str, socket.socket] = {}
        try:
            for key, port in ports.items():
                sockets[key] = _listening((policy.host, port), key)
        except Misconfigured:
            for opened in sockets.values():
                opened.close()
            raise
        return cls(SharedLimits.create(policy.processes), sockets, policy.address)

    def of_process(self, number: int) -> "ListenerShare":
        """Returns that of the process with this number, which starts."""
        sockets = {key: opened.dup() for key, opened in self.sockets.items()}
        return ListenerShare(self.limits.of_process(number), sockets, self.address)

    def close(self) -> None:
        """Closes the sockets in this process."""
        for opened in self.sockets.values():
            opened.close()


def _listening(address: tuple[str, int], key: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        opened = socket.socket(family, socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
            opened.listen(BACKLOG)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise cannot_listen(address, key, error) from error
    return opened


def cannot_listen(address: tuple[str, int], key: str, error: OSError) -> Misconfigured:
    """Returns the mistake in the setting `key` that `error` shows."""
    reason = error.strerror
    return Misconfigured(f"cannot listen on {address[0]} port {address[1]}: {reason}", key=key)
