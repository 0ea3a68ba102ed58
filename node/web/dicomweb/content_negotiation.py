"""What a client accepts (PS3.18 8.7), and multipart answers that stream."""

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus

from fastapi import HTTPException, Request
from starlette.responses import StreamingResponse

# Commas within quotes part nothing.
_RANGES = re.compile(r'(?:[^,"]|"[^"]*")+')


@dataclass(frozen=True)
class Accepted:
    """One media range: `kind` is that of the parts where it is `multipart/related`.

    `transfer_syntax` is `*` for any, and empty where the client leaves it open.
    """

    is_multipart: bool
    kind: str
    transfer_syntax: str


@dataclass(frozen=True)
class Part:
    """One part of an answer; its content comes in chunks."""

    content_type: str
    chunks: Iterable[bytes]


def accepted_by(request: Request) -> list[Accepted]:
    """The media ranges in the order of the client; the query parameter stands above the header."""
    given = request.query_params.get("accept") or request.headers.get("accept") or "*/*"
    return [_range(text.strip()) for text in _RANGES.findall(given) if text.strip()]


def not_acceptable(offered: str) -> HTTPException:
    """Nothing that the client accepts can be given."""
    return HTTPException(HTTPStatus.NOT_ACCEPTABLE, f"this can be had as {offered}")


def multipart(parts: Iterable[Part], kind: str) -> StreamingResponse:
    """A `multipart/related` answer (RFC 2387), one part in memory at a time."""
    boundary = uuid.uuid4().hex
    return StreamingResponse(
        _written(parts, boundary),
        media_type=f'multipart/related; type="{kind}"; boundary={boundary}',
    )


def _written(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        yield f"--{boundary}\r\nContent-Type: {part.content_type}\r\n\r\n".encode("ascii")
        yield from part.chunks
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")


def _range(text: str) -> Accepted:
    message = Message()
    message["Content-Type"] = text
    kind = text.split(";", maxsplit=1)[0].strip().lower()
    syntax = str(message.get_param("transfer-syntax") or "")
    if kind == "*/*":
        return Accepted(True, "*/*", syntax or "*")
    if kind in {"multipart/related", "multipart/*"}:
        return Accepted(True, str(message.get_param("type") or "*/*").lower(), syntax)
    return Accepted(False, kind, syntax)
