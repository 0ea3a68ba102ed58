"""Health for monitoring: 200 when every part of the node is healthy, 503 when one is not."""

from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from node.domain.errors import Transient
from node.runtime.health_checks import (
    database_problem,
    files_problem,
    listener_problem,
    worker_problem,
)
from node.settings import Settings
from node.store import Store
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter()
_MIB = 1 << 20


@ROUTER.get("/health")
def health(settings: SiteSettings, store: SiteStore, now: Now) -> JSONResponse:
    """Returns the health of each part, and how many series and jobs are in each state."""
    parts = {
        "database": _database(store),
        "disk": _disk(settings, store),
        "listener": _part(listener_problem(settings)),
        "worker": _worker(settings, store, now),
    }
    healthy = all(part["ok"] for part in parts.values())
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    content = {"status": "ok" if healthy else "not well", **parts}
    return JSONResponse(content, status, headers={"Cache-Control": "no-store"})


def _database(store: Store) -> dict[str, Any]:
    try:
        series, jobs = store.count_series(), store.count_jobs()
    except Transient as error:
        return {"ok": False, "message": str(error)}
    return _part(database_problem(store)) | {
        "series": {state.value: count for state, count in series.items()},
        "jobs": {state.value: count for state, count in jobs.items()},
    }


def _disk(settings: Settings, store: Store) -> dict[str, Any]:
    part = _part(files_problem(settings, store))
    with suppress(Transient):  # the problem reports it
        free = store.files.free_bytes()
        if free is not None:
            part["free_mib"] = free // _MIB
    return part


def _worker(settings: Settings, store: Store, now: datetime) -> dict[str, Any]:
    try:
        return _part(worker_problem(settings, store, now))
    except Transient as error:
        return _part(str(error))


def _part(problem: str) -> dict[str, Any]:
    return {"ok": False, "message": problem} if problem else {"ok": True}
