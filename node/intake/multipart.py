"""Streaming reader of multipart messages (RFC 2046 5.1) that holds one part in memory.

No maintained library reads `multipart/related` in this way:

- python-multipart 0.0.34 raises an error for a preamble and for padding after a boundary, which RFC
  2046 allows. It also limits headers, but not the size of a part.
- multipart 2.0.1 requires a `Content-Disposition` header in each part.
- streaming-form-data 2.1.0 accepts `multipart/form-data` only.
- requests-toolbelt 1.0.0 (MultipartDecoder) and the standard library's `email` need the whole
  message in memory.
"""

from collections.abc import Iterable, Iterator
from email.message import Message

from node.domain.errors import Rejected, RejectionReason, Transient

_END_OF_HEADERS = b"\r\n\r\n"
# Each part is held in memory. The largest multi-frame CT images fit.
MAX_PART_BYTES = 2 << 30
# RFC 2046 5.1.1 allows a boundary of 70 characters. The parser of parameters takes quadratic time.
_MAX_CONTENT_TYPE = 1000
# A study of a modern scanner has some thousand instances.
MAX_PARTS = 100_000


class PartTooLarge(Rejected):
    """A part exceeds the size limit."""

    def __init__(self) -> None:
        super().__init__(
            RejectionReason.INVALID_INSTANCE,
            f"an instance of over {MAX_PART_BYTES >> 30} GiB cannot be accepted",
        )


class TooManyParts(Rejected):
    """A message has more parts than the limit."""

    def __init__(self) -> None:
        super().__init__(
            RejectionReason.INVALID_INSTANCE,
            f"a message with over {MAX_PARTS} parts cannot be accepted; send several",
        )


def parse_boundary(content_type: str) -> str:
    """Returns the boundary of a `multipart/...` content type; empty for any other type."""
    if len(content_type) > _MAX_CONTENT_TYPE:
        return ""
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        return ""
    boundary = message.get_boundary() or ""
    return boundary if boundary.isascii() else ""


def iter_parts(chunks: Iterable[bytes], boundary: str) -> Iterator[bytes]:
    """Yields the body of each part, without its headers, in order.

    Raises:
        Transient: the message ends before its closing delimiter.
        PartTooLarge: a part exceeds 2 GiB.
        TooManyParts: there are over 100,000.
    """
    delimiter = b"\r\n--" + boundary.encode("ascii")
    # The first delimiter may start the message, without the line break that precedes the others.
    buffer = bytearray(b"\r\n")
    remaining_chunks = iter(chunks)
    count = 0  # of the parts so far
    searched = 0
    while True:
        at = buffer.find(delimiter, searched)
        # The next two bytes distinguish the closing delimiter.
        if at < 0 or len(buffer) < at + len(delimiter) + 2:
            searched = max(0, len(buffer) - len(delimiter)) if at < 0 else at
            chunk = next(remaining_chunks, None)
            if chunk is None:
                raise Transient("the message was cut off before its end")
            if len(buffer) > MAX_PART_BYTES:
                raise PartTooLarge
            buffer += chunk
            continue
        if count:
            yield _content(bytes(buffer[:at]))
        end = at + len(delimiter)
        if buffer[end : end + 2] == b"--":
            return
        del buffer[:end]
        count, searched = count + 1, 0
        if count > MAX_PARTS:
            raise TooManyParts


def _content(part: bytes) -> bytes:
    """Returns what follows the headers; a part without headers starts with an empty line."""
    # Skip the rest of the delimiter line.
    start = part.find(b"\r\n")
    if part[start : start + 4] == _END_OF_HEADERS:
        return part[start + 4 :]
    end = part.find(_END_OF_HEADERS, start)
    return part[end + len(_END_OF_HEADERS) :] if end >= 0 else b""
