"""Dependencies of the DICOMweb routes: the archive, the file of one instance, a window."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import Depends, HTTPException, Query

from node.dicom.display_window import DisplayWindow
from node.web.dependencies import SiteStore
from node.web.dicomweb.archive import Archive, ArchivedInstance


def _archive(store: SiteStore) -> Archive:
    return Archive(store)


SiteArchive = Annotated[Archive, Depends(_archive)]


def require_instances(
    archive: Archive, study: str, series: str | None = None, instance: str | None = None
) -> tuple[ArchivedInstance, ...]:
    """Returns the instances; the request ends with 404 when there are none."""
    found = archive.find_instances(study, series, instance)
    if not found:
        wanted = instance or series or study
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{wanted} is not here")
    return found


def _instance_file(study: str, series: str, instance: str, archive: SiteArchive) -> Iterator[Path]:
    with require_instances(archive, study, series, instance)[0].local_copy() as file:
        yield file


InstanceFile = Annotated[Path, Depends(_instance_file)]


def _window(
    window: Annotated[
        str | None, Query(description="Center, width and function: `40,400,linear`.")
    ] = None,
) -> DisplayWindow | None:
    """Parses the parameter of PS3.18 8.3.5.1.4; the request ends with 400 if it is invalid."""
    if window is None:
        return None
    try:
        return DisplayWindow.parse(window)
    except ValueError as error:
        message = (
            f"window={window[:80]!r} is not CENTER,WIDTH,FUNCTION with a function linear, "
            "linear-exact or sigmoid, and a width of at least 1 (others than linear: above 0)"
        )
        raise HTTPException(HTTPStatus.BAD_REQUEST, message) from error


RequestedWindow = Annotated[DisplayWindow | None, Depends(_window)]
