"""An HTTP server that keeps the JSON that is posted to it."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.servers.post_server import Answer, PostServer


@dataclass
class Posted:
    """One request."""

    path: str
    headers: Mapping[str, str]
    content: dict[str, Any]


@dataclass
class HttpReceiver:
    """The requests so far; the next ones are answered with `status`."""

    url: str = ""
    status: int = 200
    posted: list[Posted] = field(default_factory=list)

    def respond(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Keeps a request."""
        self.posted.append(Posted(path, headers, json.loads(body)))
        return Answer(self.status, "text/plain", b"", location="/elsewhere")


@contextmanager
def http_receiver(tls: ssl.SSLContext | None = None) -> Iterator[HttpReceiver]:
    """Runs the server on a free port."""
    receiver = HttpReceiver()
    server = PostServer(receiver.respond, tls=tls)
    receiver.url = f"http{'' if tls is None else 's'}://127.0.0.1:{server.port}"
    try:
        yield receiver
    finally:
        server.close()
