"""Whether the node is well, for monitoring: 200 when all of its parts are, 503 when one is not."""

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
    """The state of each part, and how many series and jobs are in each state."""
    parts = {
        "database": _database(store),
        "disk": _disk(settings, store),
        "listener": _part(listener_problem(settings)),
        "worker": _worker(settings, store, now),
    }
    well = all(part["ok"] for part in parts.values())
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    answer = {"status": "ok" if well else "not well", **parts}
    return JSONResponse(answer, status, headers={"Cache-Control": "no-store"})


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
    state = _part(files_problem(settings, store))
    with suppress(Transient):  # told as the problem
        free = store.files.free_bytes()
        if free is not None:
            state["free_mib"] = free // _MIB
    return state


def _worker(settings: Settings, store: Store, now: datetime) -> dict[str, Any]:
    try:
        return _part(worker_problem(settings, store, now))
    except Transient as error:
        return _part(str(error))


def _part(problem: str) -> dict[str, Any]:
    return {"ok": False, "message": problem} if problem else {"ok": True}
