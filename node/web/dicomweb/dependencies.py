"""Dependencies of the DICOMweb routes: the archive, and the file of one instance."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import Depends, HTTPException

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
