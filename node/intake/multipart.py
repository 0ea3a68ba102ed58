"""Multipart messages (RFC 2046 5.1) read as they arrive, one part in memory at a time."""

from collections.abc import Iterable, Iterator
from email.message import Message

from node.domain.errors import Rejected, RejectionReason, Transient

_END_OF_HEADERS = b"\r\n\r\n"
# A part is held in memory; the largest multi-frame CT there are fit.
MAX_PART_BYTES = 2 << 30


class PartTooLarge(Rejected):
    """A part that is larger than what is held in memory."""

    def __init__(self) -> None:
        super().__init__(
            RejectionReason.INVALID_INSTANCE,
            f"an instance of over {MAX_PART_BYTES >> 30} GiB cannot be taken",
        )


def parse_boundary(content_type: str) -> str:
    """The boundary that a `multipart/...` content type names; empty for any other."""
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        return ""
    boundary = message.get_boundary() or ""
    return boundary if boundary.isascii() else ""


def parts(chunks: Iterable[bytes], boundary: str) -> Iterator[bytes]:
    """The content of each part, without its headers, in their order.

    Raises:
        Transient: the message ends before its closing delimiter.
        PartTooLarge: a part has over 2 GiB.
    """
    delimiter = b"\r\n--" + boundary.encode("ascii")
    # The first delimiter may stand at the very start, without the line break of the others.
    buffer = bytearray(b"\r\n")
    arriving = iter(chunks)
    in_part = False
    searched = 0
    while True:
        at = buffer.find(delimiter, searched)
        # Two bytes more tell whether it is the closing one.
        if at < 0 or len(buffer) < at + len(delimiter) + 2:
            searched = max(0, len(buffer) - len(delimiter)) if at < 0 else at
            chunk = next(arriving, None)
            if chunk is None:
                raise Transient("the message was cut off before its end")
            if len(buffer) > MAX_PART_BYTES:
                raise PartTooLarge
            buffer += chunk
            continue
        if in_part:
            yield _content(bytes(buffer[:at]))
        end = at + len(delimiter)
        if buffer[end : end + 2] == b"--":
            return
        del buffer[:end]
        in_part, searched = True, 0


def _content(part: bytes) -> bytes:
    """What follows the headers; a part may have none, then it starts with an empty line."""
    # The rest of the delimiter's line belongs to no header.
    start = part.find(b"\r\n")
    if part[start : start + 4] == _END_OF_HEADERS:
        return part[start + 4 :]
    end = part.find(_END_OF_HEADERS, start)
    return part[end + len(_END_OF_HEADERS) :] if end >= 0 else b""
