"""Dependency of the DICOMweb routes: the archive of received instances and results."""

from typing import Annotated

from fastapi import Depends

from node.web.dependencies import SiteStore
from node.web.dicomweb.archive import Archive


def _archive(store: SiteStore) -> Archive:
    return Archive(store)


SiteArchive = Annotated[Archive, Depends(_archive)]
