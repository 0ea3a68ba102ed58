"""Dependencies of the routes: settings, store, current time and posted form."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi import Path as PathParameter

from node.configuration.site_configuration import SiteConfiguration
from node.domain.access.identities import Identity
from node.domain.access.permissions import Permission
from node.domain.errors import Misconfigured
from node.intake.refused_images import RefusedImages
from node.settings import Settings
from node.store import Store
from node.web.access_control import may_view
from node.web.audit.recording import audit_address, audit_interface

_MAX_FORM_BYTES = 1 << 16


def settings_of(app: FastAPI) -> Settings:
    """Returns the settings that the application has now."""
    settings = app.state.settings
    assert isinstance(settings, Settings)  # noqa: S101 set by create_app
    return settings


def refused_images_of(app: FastAPI) -> RefusedImages:
    """Returns what records the images that the application refuses."""
    refused = app.state.refused_images
    assert isinstance(refused, RefusedImages)  # noqa: S101 set by create_app
    return refused


def _settings(request: Request) -> Settings:
    return settings_of(request.app)


def _store(request: Request) -> Store:
    store = request.app.state.store
    assert isinstance(store, Store)  # noqa: S101 set by create_app
    return store


def utc_now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


def identity_of(request: Request) -> Identity:
    """Returns who sends the request; only for routes that are not public."""
    identity = request.state.identity
    assert isinstance(identity, Identity)  # noqa: S101 set by AccessMiddleware
    return identity


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


def _configuration(request: Request) -> SiteConfiguration:
    configuration = request.app.state.configuration
    assert isinstance(configuration, SiteConfiguration)  # noqa: S101 set by create_app
    return replace(
        configuration,
        is_administrator=identity_of(request).may(Permission.ADMINISTER),
        interface=audit_interface(request),
        address=audit_address(request),
    )


Configuration = Annotated[SiteConfiguration, Depends(_configuration)]
SiteSettings = Annotated[Settings, Depends(_settings)]
SiteStore = Annotated[Store, Depends(_store)]


def _active_settings(configuration: Configuration, running: SiteSettings) -> Settings:
    """Returns the settings of the active revision, which the processes may not run yet.

    They are the running ones where the configuration is in a file, or if this host cannot use the
    active revision.
    """
    if not configuration.is_writable:
        return running
    try:
        return configuration.check(configuration.text())
    except Misconfigured:
        return running


ActiveSettings = Annotated[Settings, Depends(_active_settings)]
Now = Annotated[datetime, Depends(utc_now)]
MayView = Annotated[bool, Depends(may_view)]
PostedForm = Annotated[Mapping[str, str], Depends(_posted_form)]
RevisionNumber = Annotated[int, PathParameter(ge=1, lt=1 << 31)]
OtherRevision = Annotated[int | None, Query(ge=1, lt=1 << 31)]
