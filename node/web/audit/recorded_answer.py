"""Answers a request and records it before the answer leaves the node."""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Send

from node.domain.access.identities import Identity
from node.web.audit.recording import RequestRecorder
from node.web.permissions import Route


@dataclass
class RecordedAnswer:
    """The answer to a request of a known sender."""

    recorder: RequestRecorder
    request: Request
    route: Route | None
    sender: Identity
    send: Send
    _has_started: bool = False

    async def by(self, app: ASGIApp, receive: Receive) -> None:
        """Lets the application answer. A request that ends in a defect is recorded as failed."""
        try:
            await app(self.request.scope, receive, self._send)
        except Exception:
            if not self._has_started:
                await self._record(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._has_started:
            self._has_started = True
            await self._record(message["status"])
        await self.send(message)

    async def _record(self, status: int) -> None:
        now = datetime.now(UTC)
        record = self.recorder.record_of(self.request, self.route, self.sender, status, now)
        if record is not None:
            await run_in_threadpool(self.recorder.write, record)
