"""The fields of a form that a browser sends."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

# Larger than any configuration.
_MAX_BYTES = 4 << 20
_MAX_LINE = 200
_NO_REVISION = "the form does not say which revision it changes: open its page again"
_REVISION = re.compile("[0-9]{0,9}")


async def _fields(request: Request) -> Mapping[str, str]:
    """Returns the fields of an URL-encoded form by name; ends with 413 where it is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too long")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


FormFields = Annotated[Mapping[str, str], Depends(_fields)]


def base_revision(fields: Mapping[str, str]) -> int | None:
    """Returns the number of the revision that the form changes; None where there is none yet.

    Ends the request with 400 if the field `base` is no such number.
    """
    text = fields.get("base", "")
    if not _REVISION.fullmatch(text):
        raise HTTPException(HTTPStatus.BAD_REQUEST, _NO_REVISION)
    return int(text) if text else None


def line_of(fields: Mapping[str, str], name: str) -> str:
    """Returns a field as one line without control characters, as the history shows it."""
    text = fields.get(name, "")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:_MAX_LINE]
