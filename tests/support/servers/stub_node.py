"""A stub of the node's REST interface that records the requests."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.support.servers.post_server import Answer, PostServer


@dataclass(frozen=True)
class Call:
    """One received request."""

    path: str
    body: dict[str, Any]
    user_agent: str = field(default="", compare=False)


@dataclass
class StubNode:
    """Listens on loopback within its context; answers every POST with `status`."""

    port: int
    status: int = 202
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server = PostServer(self._answer, self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _answer(self, path: str, headers: Mapping[str, str], content: bytes) -> Answer:
        self.calls.append(Call(path, json.loads(content), headers.get("User-Agent", "")))
        return Answer(self.status, "application/json", b'{"retrieval": 1}')
