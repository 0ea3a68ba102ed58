"""REST routes of worklists and their work items: list, show, cancel."""

import json
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, HTTPException

from node.domain.worklists.work_item import WorkItem
from node.store import Store
from node.web.api.serialization import Limit
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api/worklists")


@ROUTER.get("")
def list_worklists(settings: SiteSettings, store: SiteStore) -> list[dict[str, Any]]:
    """Returns the worklists of the configuration: when each answered, and its failure."""
    return [asdict(store.worklist_status(name)) for name in settings.worklists]


@ROUTER.get("/work-items")
def list_work_items(store: SiteStore, limit: Limit = 100) -> list[dict[str, Any]]:
    """Returns the latest work items of all worklists, newest first."""
    return [item.public_fields() for item in store.list_work_items(limit)]


@ROUTER.get("/{worklist}/work-items/{uid}")
def get_work_item(worklist: str, uid: str, store: SiteStore) -> dict[str, Any]:
    """Returns one work item, with its final data set (DICOM JSON) once it has ended."""
    item = _require(store, worklist, uid)
    return item.public_fields() | {"report": json.loads(item.report) if item.report else None}


@ROUTER.post("/{worklist}/work-items/{uid}/cancel", status_code=HTTPStatus.ACCEPTED)
def cancel(worklist: str, uid: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Cancels a work item at its server, unless a destination has its result already."""
    item = _require(store, worklist, uid)
    if item.is_final:
        message = f"work item {uid} has ended: it is {item.state}"
        raise HTTPException(HTTPStatus.CONFLICT, message)
    store.request_cancellation(worklist, uid, None, now)
    return _require(store, worklist, uid).public_fields()


def _require(store: Store, worklist: str, uid: str) -> WorkItem:
    item = store.get_work_item(worklist, uid)
    if item is None:
        message = f"worklist {worklist!r} has no work item {uid} that this node has claimed"
        raise HTTPException(HTTPStatus.NOT_FOUND, message)
    return item
