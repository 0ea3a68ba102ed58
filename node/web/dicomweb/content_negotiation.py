"""Content negotiation (PS3.18 8.7) and streamed multipart responses (RFC 2387)."""

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from itertools import chain, islice
from typing import TypeVar

from fastapi import HTTPException, Request
from starlette.responses import StreamingResponse

T = TypeVar("T")

# A comma within quotes does not separate media ranges.
_MEDIA_RANGES = re.compile(r'(?:[^,"]|"[^"]*")+')


@dataclass(frozen=True)
class MediaRange:
    """One media range of an Accept header.

    For `multipart/related`, `media_type` is the media type of the parts. `transfer_syntax` is `*`
    for any, and empty when the client names none.
    """

    is_multipart: bool
    media_type: str
    transfer_syntax: str


@dataclass(frozen=True)
class BodyPart:
    """One part of a multipart response; its content comes in chunks."""

    content_type: str
    chunks: Iterable[bytes]


def accepted_media_ranges(request: Request) -> list[MediaRange]:
    """Returns the accepted media ranges in the client's order.

    The query parameter `accept` takes precedence over the header.
    """
    accept = request.query_params.get("accept") or request.headers.get("accept") or "*/*"
    return [_media_range(text.strip()) for text in _MEDIA_RANGES.findall(accept) if text.strip()]


def not_acceptable(offered: str) -> HTTPException:
    """Returns the error 406, which names the media types that the node offers."""
    return HTTPException(HTTPStatus.NOT_ACCEPTABLE, f"this is available as {offered}")


def multipart_response(parts: Iterable[BodyPart], media_type: str) -> StreamingResponse:
    """Returns a `multipart/related` response (RFC 2387) with one part in memory at a time."""
    boundary = uuid.uuid4().hex
    return StreamingResponse(
        _encode_multipart(parts, boundary),
        media_type=f'multipart/related; type="{media_type}"; boundary={boundary}',
    )


def produce_first(items: Iterable[T]) -> Iterator[T]:
    """Produces the first item at once and the others on demand.

    An error in the first item can still set the status of the response; an error in a later one
    cuts the response off.
    """
    remaining = iter(items)
    return chain(list(islice(remaining, 1)), remaining)


def _encode_multipart(parts: Iterable[BodyPart], boundary: str) -> Iterator[bytes]:
    for part in parts:
        yield f"--{boundary}\r\nContent-Type: {part.content_type}\r\n\r\n".encode("ascii")
        yield from part.chunks
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")


def _media_range(text: str) -> MediaRange:
    message = Message()
    message["Content-Type"] = text
    media_type = text.split(";", maxsplit=1)[0].strip().lower()
    syntax = str(message.get_param("transfer-syntax") or "")
    if media_type == "*/*":
        return MediaRange(True, "*/*", syntax or "*")
    if media_type in {"multipart/related", "multipart/*"}:
        return MediaRange(True, str(message.get_param("type") or "*/*").lower(), syntax)
    return MediaRange(False, media_type, syntax)
