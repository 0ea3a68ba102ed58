"""An identity provider of another maker (oidc-provider), at which any password counts."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from node.demo.free_ports import free_ports
from tests.support.npm_tools import npm_tool

CLIENT_ID = "segnode"
CLIENT_SECRET = "a+secret/with:signs%"


@contextmanager
def identity_provider(node_url: str) -> Iterator[str]:
    """Runs the provider on a free port and yields its issuer; skips where npm is not installed.

    The part of a user's name before the first point is the group.
    """
    (port,) = free_ports(1)
    command = [*npm_tool("identity_provider.js"), str(port), node_url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n", "it does not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
