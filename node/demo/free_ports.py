"""TCP ports of loopback for servers that start soon."""

import itertools
import os
import socket
from contextlib import ExitStack, suppress

# Below the ports that operating systems give to outgoing connections: a connection could take one
# of these before the server that it is meant for has started.
_PORTS = range(20_000, 32_000)
# Processes that run at the same time have near process ids; each begins at another place.
_PLACES = itertools.count(os.getpid() * 997)


def free_ports(count: int) -> list[int]:
    """Returns `count` different TCP ports of loopback that are free now.

    Raises:
        OSError: fewer are free.
    """
    with ExitStack() as stack:
        ports: list[int] = []
        for place in itertools.islice(_PLACES, len(_PORTS)):
            port = _PORTS[place % len(_PORTS)]
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"fewer than {count} of the ports {_PORTS[0]} to {_PORTS[-1]} are free")
