"""Server-sent events: a page gets each new version of its live part over one connection.

All streams of one kind share one snapshot, so that many open pages cost no more than one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import FastAPI, HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from node.web.access_control import may_view

# A browser opens one stream for each visible page.
MAX_STREAMS = 100
_CHECK_SECONDS = 0.5
# A comment this often finds connections whose other end is gone, and keeps proxies from closing.
_COMMENT_SECONDS = 15.0
_RETRY_MS = 3000
# A page reconnects by itself; an end after this time leaves nothing behind.
_MAX_STREAM_SECONDS = 3600.0


@dataclass
class EventStreams:
    """The open streams of a web process. It is used on the event loop, but for `close`."""

    period_s: float = 2.0
    access_period_s: float = 5.0
    is_closed: bool = False
    open_count: int = 0
    _content: dict[str, tuple[float, str]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def close(self) -> None:
        """Ends every stream within half a second; any thread may call it."""
        self.is_closed = True

    def response(
        self, request: Request, event: str, render: Callable[[], str]
    ) -> StreamingResponse:
        """Returns a stream that sends the result of `render` whenever it changes.

        `render` is called on another thread, at most once in `period_s` for all streams of the
        same `event`. The stream ends soon after the session of the request.
        """
        if self.is_closed or self.open_count >= MAX_STREAMS:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open", {"Retry-After": "30"}
            )
        return StreamingResponse(
            self._events(request, event, render),
            media_type="text/event-stream",
            # X-Accel-Buffering: nginx passes each event on at once.
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _events(
        self, request: Request, event: str, render: Callable[[], str]
    ) -> AsyncIterator[str]:
        self.open_count += 1
        try:
            started = quiet_since = time.monotonic()
            sent = ""
            yield f"retry: {_RETRY_MS}\n\n"
            checked = started
            while not self.is_closed and time.monotonic() - started < _MAX_STREAM_SECONDS:
                if await request.is_disconnected():
                    return
                if time.monotonic() - checked >= self.access_period_s:
                    if not await run_in_threadpool(may_view, request):
                        return
                    checked = time.monotonic()
                content = await self._latest(event, render)
                if content != sent:
                    yield _event(event, content)
                    sent, quiet_since = content, time.monotonic()
                elif time.monotonic() - quiet_since > _COMMENT_SECONDS:
                    yield ": nothing new\n\n"
                    quiet_since = time.monotonic()
                await asyncio.sleep(_CHECK_SECONDS)
        finally:
            self.open_count -= 1

    async def _latest(self, event: str, render: Callable[[], str]) -> str:
        """Returns the content, rendered within the last `period_s`."""
        async with self._locks.setdefault(event, asyncio.Lock()):
            rendered_at, content = self._content.get(event, (float("-inf"), ""))
            if time.monotonic() - rendered_at >= self.period_s:
                # In a context of its own: the content is for all, and names no sender.
                content = await run_in_threadpool(Context().run, render)
                self._content[event] = (time.monotonic(), content)
            return content


def streams_of(app: FastAPI) -> EventStreams:
    """Returns the streams of an application."""
    streams = app.state.streams
    assert isinstance(streams, EventStreams)  # noqa: S101 set by create_app
    return streams


def _event(name: str, content: str) -> str:
    """Returns an event whose data are the lines of `content`."""
    lines = "".join(f"data: {line}\n" for line in content.splitlines())
    return f"event: {name}\n{lines}\n"
