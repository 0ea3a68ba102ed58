"""Limits on the size of a request, and on the time in which it must arrive."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A configuration as a form, the longest body besides instances: three times its 1 MiB where every
# character is encoded, and a reason.
MAX_BODY_BYTES = 4 << 20
MAX_BODY_SECONDS = 60.0
# Between two pieces of an upload of instances, which has limits of its own.
MAX_PAUSE_SECONDS = 60.0


class RequestLimits:
    """Ends requests whose body is too long with 413, and those that arrive too slowly with 408.

    Requests to store instances, below `upload_path`, may be of any length.
    """

    def __init__(self, app: ASGIApp, upload_path: str) -> None:
        self._app = app
        self._upload_path = upload_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, with limits on its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "POST" and scope["path"].startswith(self._upload_path):
            await self._app(scope, _within_pauses(receive), send)
        else:
            length = Headers(scope=scope).get("content-length", "")
            await self._app(scope, _within_limits(receive, length), send)


def _within_pauses(receive: Receive) -> Receive:
    """Returns `receive` with a limit on the time between two pieces."""
    is_complete = False

    async def limited() -> Message:
        nonlocal is_complete
        if is_complete:  # the application waits for the client to disconnect
            return await receive()
        message = await _received(receive, MAX_PAUSE_SECONDS)
        is_complete = not message.get("more_body", False)
        return message

    return limited


def _within_limits(receive: Receive, content_length: str) -> Receive:
    """Returns `receive` with limits on the size of the body and the time until it is complete."""
    count = 0
    is_complete = False
    deadline: float | None = None

    async def limited() -> Message:
        nonlocal count, is_complete, deadline
        if is_complete:
            return await receive()
        now = asyncio.get_running_loop().time()
        deadline = now + MAX_BODY_SECONDS if deadline is None else deadline
        # h11 has checked that the header is a number, of at most 20 digits.
        if content_length and int(content_length) > MAX_BODY_BYTES:
            raise _too_large()
        message = await _received(receive, deadline - now)
        count += len(message.get("body", b""))
        if count > MAX_BODY_BYTES:
            raise _too_large()
        is_complete = not message.get("more_body", False)
        return message

    return limited


async def _received(receive: Receive, seconds: float) -> Message:
    try:
        async with asyncio.timeout(seconds):
            return await receive()
    except TimeoutError as error:
        raise HTTPException(
            HTTPStatus.REQUEST_TIMEOUT, "the request arrives too slowly", {"Connection": "close"}
        ) from error


def _too_large() -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"a request has at most {MAX_BODY_BYTES >> 20} MiB",
        {"Connection": "close"},
    )
