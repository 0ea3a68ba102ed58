"""The fields of a form that a browser sends."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

# Larger than any configuration.
_MAX_BYTES = 4 << 20


async def _fields(request: Request) -> Mapping[str, str]:
    """Returns the fields of an URL-encoded form by name; ends with 413 where it is too long."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too long")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


FormFields = Annotated[Mapping[str, str], Depends(_fields)]
