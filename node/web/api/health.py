"""Health for monitoring and for orchestrators, without a login.

`/health` names every part. `/health/live` says whether this process serves, and `/health/ready`
whether the node can receive and process. Each answers HEAD as well. Details such as names and
addresses are for those who may view the node; all others get the status alone.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse

from node.domain.errors import Transient
from node.domain.monitoring.destination_health import DestinationHealth
from node.domain.monitoring.problem import Problem, ProblemKind
from node.health.destinations import attention_policy, health_of_destinations, needs_attention
from node.health.parts import (
    database_problem,
    files_problem,
    full_text,
    listener_problem,
    part_problems,
    worker_problem,
)
from node.health.problems import site_problems
from node.settings import Settings
from node.store import Store
from node.web.dependencies import MayView, Now, SiteSettings, SiteStore

ROUTER = APIRouter()
_MIB = 1 << 20
_NOT_CACHED = {"Cache-Control": "no-store"}
# What a person must see to, although the node receives and processes. Stopped jobs and results
# that change are the business of alerts: they say nothing about the node.
_DEGRADING = {
    ProblemKind.DESTINATION_FAILING,
    ProblemKind.QUEUE_TOO_OLD,
    ProblemKind.DISK_LOW,
    ProblemKind.WORKER_MISSING,
    ProblemKind.ALERT_NOT_SENT,
    ProblemKind.CONFIGURATION_NOT_USED,
}


@ROUTER.get("/health")
@ROUTER.head("/health", include_in_schema=False)
def health(settings: SiteSettings, store: SiteStore, now: Now, may_view: MayView) -> JSONResponse:
    """Returns the health of each part, and how many series and jobs are in each state.

    The status is `ok`, `degraded` (the node works, but a destination, the queue or the disk needs
    attention; 200) or `not well` (a part does not work; 503).
    """
    parts = {
        "database": _database(store),
        "disk": _disk(settings, store),
        "listener": _part(listener_problem(settings)),
        "worker": _worker(settings, store, now),
    }
    works = all(part["ok"] for part in parts.values())
    problems = _degrading_problems(settings, store, now) if works else []
    status = HTTPStatus.OK if works else HTTPStatus.SERVICE_UNAVAILABLE
    content: dict[str, Any] = {"status": _status(works, problems)}
    if may_view:
        content |= parts | _details(settings, store, now, problems)
    return JSONResponse(content, status, headers=_NOT_CACHED)


def _details(
    settings: Settings, store: Store, now: datetime, problems: Sequence[Problem]
) -> dict[str, Any]:
    return {
        "inference": _inference(store),
        "destinations": _destinations(settings, store, now),
        "problems": [
            {"kind": p.kind.value, "subject": p.subject, "message": full_text(p)} for p in problems
        ],
    }


@ROUTER.get("/health/live")
@ROUTER.head("/health/live", include_in_schema=False)
async def live() -> JSONResponse:
    """Returns 200 while the web process serves; it checks nothing else."""
    return JSONResponse({"status": "ok"}, headers=_NOT_CACHED)


@ROUTER.get("/health/ready")
@ROUTER.head("/health/ready", include_in_schema=False)
def ready(settings: SiteSettings, store: SiteStore, now: Now, may_view: MayView) -> JSONResponse:
    """Returns 200 while the node can receive and process, else 503 with the reasons."""
    problems = part_problems(settings, store, now)
    if not problems:
        return JSONResponse({"status": "ok"}, headers=_NOT_CACHED)
    content: dict[str, Any] = {"status": "not ready"}
    if may_view:
        content["problems"] = [full_text(problem) for problem in problems]
    return JSONResponse(content, HTTPStatus.SERVICE_UNAVAILABLE, headers=_NOT_CACHED)


def _status(works: bool, problems: Sequence[Problem]) -> str:
    if not works:
        return "not well"
    return "degraded" if problems else "ok"


def _degrading_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    try:
        found = site_problems(settings, store, now)
    except Transient:
        return []
    return [problem for problem in found if problem.kind in _DEGRADING]


def _inference(store: Store) -> dict[str, Any]:
    try:
        return {"paused": store.is_inference_paused()}
    except Transient:
        return {}


def _destinations(settings: Settings, store: Store, now: datetime) -> dict[str, Any]:
    policy = attention_policy(settings)
    try:
        found = health_of_destinations(settings, store)
    except Transient:
        return {}
    return {each.name: _destination(each, needs_attention(each, policy, now)) for each in found}


def _destination(health: DestinationHealth, attention: bool) -> dict[str, Any]:
    return {
        "state": "failing" if health.is_failing else "reachable",
        "needs_attention": attention,
        "paused": health.is_paused,
        "failing_since": _timestamp(health.failing_since),
        "failures": health.failures,
        "last_error": health.last_error,
        "last_answered_at": _timestamp(health.last_answered_at),
        "waiting": health.waiting,
        "next_attempt_at": _timestamp(health.next_attempt_at),
    }


def _timestamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


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
        return {"ok": False, "message": str(error)}


def _part(problem: Problem | None) -> dict[str, Any]:
    return {"ok": True} if problem is None else {"ok": False, "message": full_text(problem)}
