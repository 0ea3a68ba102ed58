"""Whether the node is well, for monitoring: 200 when all of its parts are, 503 when one is not."""

import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from node.domain.errors import Transient
from node.store import Store
from node.web.dependencies import SiteSettings, SiteStore

ROUTER = APIRouter()
# Below this a large CT and its result may not fit any more.
_LEAST_FREE_BYTES = 1 << 30
_MIB = 1 << 20


@ROUTER.get("/health")
def health(settings: SiteSettings, store: SiteStore) -> JSONResponse:
    """The state of each part, and how many series and jobs are in each state."""
    parts = {"database": _database(store), "disk": _disk(settings.data_dir)}
    well = all(part["ok"] for part in parts.values())
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    answer = {"status": "ok" if well else "not well", **parts}
    return JSONResponse(answer, status, headers={"Cache-Control": "no-store"})


def _database(store: Store) -> dict[str, Any]:
    try:
        series, jobs = store.count_series(), store.count_jobs()
    except Transient as error:
        return {"ok": False, "message": str(error)}
    return {
        "ok": True,
        "series": {state.value: count for state, count in series.items()},
        "jobs": {state.value: count for state, count in jobs.items()},
    }


def _disk(data_dir: Path) -> dict[str, Any]:
    try:
        free = shutil.disk_usage(data_dir).free
    except OSError as error:
        return {"ok": False, "message": f"the data folder cannot be used: {error.strerror}"}
    ok = free >= _LEAST_FREE_BYTES
    state: dict[str, Any] = {"ok": ok, "free_mib": free // _MIB}
    if not ok:
        state["message"] = (
            f"less than {_LEAST_FREE_BYTES // _MIB} MiB are free where the node keeps its data; "
            "make room, or move data_dir"
        )
    return state
