"""Dependencies of the routes: settings, store, current time, user and posted form."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

from node.domain.job import CONSOLE_USER
from node.settings import Settings
from node.store import Store

_MAX_FORM_BYTES = 1 << 16


def _settings(request: Request) -> Settings:
    settings = request.app.state.settings
    assert isinstance(settings, Settings)  # noqa: S101 set by create_app
    return settings


def _store(request: Request) -> Store:
    store = request.app.state.store
    assert isinstance(store, Store)  # noqa: S101 set by create_app
    return store


def utc_now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


def _current_user() -> str:
    """Names who uses the console for the audit trail. Without a login, nobody is known."""
    return CONSOLE_USER


async def _posted_form(request: Request) -> Mapping[str, str]:
    """Returns the fields of a form that a page of the console posts.

    The request ends with 413 if it is longer than any form.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too long")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


SiteSettings = Annotated[Settings, Depends(_settings)]
SiteStore = Annotated[Store, Depends(_store)]
Now = Annotated[datetime, Depends(utc_now)]
CurrentUser = Annotated[str, Depends(_current_user)]
PostedForm = Annotated[Mapping[str, str], Depends(_posted_form)]
