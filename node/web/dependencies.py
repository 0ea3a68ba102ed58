"""Dependencies of the routes: settings, store and current time."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from fastapi import Path as PathParameter

from node.configuration.site_configuration import SiteConfiguration
from node.settings import Settings
from node.store import Store


def settings_of(app: FastAPI) -> Settings:
    """Returns the settings that the application has now."""
    settings = app.state.settings
    assert isinstance(settings, Settings)  # noqa: S101 set by create_app
    return settings


def _settings(request: Request) -> Settings:
    return settings_of(request.app)


def _store(request: Request) -> Store:
    store = request.app.state.store
    assert isinstance(store, Store)  # noqa: S101 set by create_app
    return store


def utc_now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


def _configuration(request: Request) -> SiteConfiguration:
    configuration = request.app.state.configuration
    assert isinstance(configuration, SiteConfiguration)  # noqa: S101 set by create_app
    return configuration


Configuration = Annotated[SiteConfiguration, Depends(_configuration)]
SiteSettings = Annotated[Settings, Depends(_settings)]
SiteStore = Annotated[Store, Depends(_store)]
Now = Annotated[datetime, Depends(utc_now)]
RevisionNumber = Annotated[int, PathParameter(ge=1, lt=1 << 31)]
OtherRevision = Annotated[int | None, Query(ge=1, lt=1 << 31)]
