"""REST: what there is as JSON, and what other systems can ask the node to do."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as FromPath
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, result_identity
from node.domain.series import StoredSeries
from node.routing.decision import Decision, explain
from node.store import Store
from node.store.work.jobs import IllegalChange, UnknownJob
from node.store.work.outcomes import SeriesOutcome
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api")
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]
# What a database can hold.
Number = Annotated[int, FromPath(ge=1, lt=1 << 63)]
_PICTURE_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    # The browser's own viewer, which shows a picture alone, is a page with styles in its elements.
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
}
_OF_THE_HOST = {"result_path", "picture_path"}  # where files lie is nobody's business


@ROUTER.get("/series")
def list_series(store: SiteStore, limit: Limit = 100) -> list[dict[str, Any]]:
    """The series that were heard of last, newest first, and what became of each."""
    return [_series_json(found) for found in store.series_with_outcome(limit)]


@ROUTER.get("/jobs")
def list_jobs(store: SiteStore, limit: Limit = 100) -> list[dict[str, Any]]:
    """The latest jobs, newest first."""
    return [_job_json(job) for job in store.list_jobs(limit)]


@ROUTER.get("/jobs/{job_id}")
def get_job(job_id: str, store: SiteStore) -> dict[str, Any]:
    """One job with its deliveries."""
    job = known_job(store, job_id)
    deliveries = [asdict(delivery) for delivery in store.deliveries_of(job_id)]
    return _job_json(job) | {"deliveries": deliveries}


@ROUTER.get("/jobs/{job_id}/picture.png")
def picture(job_id: str, store: SiteStore) -> Response:
    """The overlay picture of a job."""
    path = known_job(store, job_id).picture_path
    if path is None or not store.files.holds(path):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"job {job_id} has no picture")
    with store.files.at_hand([path]) as (file,):
        return Response(file.read_bytes(), media_type="image/png", headers=_PICTURE_HEADERS)


@ROUTER.get("/series/{series_uid}/explain")
def explain_series(series_uid: str, store: SiteStore) -> dict[str, Any]:
    """Which rules wanted the series, condition by condition; `decided` is false before that."""
    series = known_series(store, series_uid)
    text = store.decision_of(series_uid)
    if text is None:
        told = "The series is not decided yet: it may still be arriving."
        return {"series_instance_uid": series.series_instance_uid, "decided": False, "text": told}
    decision = Decision.from_json(text)
    return {
        "series_instance_uid": series.series_instance_uid,
        "decided": True,
        "rules": list(decision.rules),
        "text": explain(decision),
        "decision": asdict(decision),
    }


@ROUTER.post("/series/{series_uid}/start", status_code=HTTPStatus.ACCEPTED)
def start(series_uid: str, store: SiteStore, now: Now) -> dict[str, str]:
    """Have the series decided now, without its quiet time."""
    request_start(store, series_uid, now)
    return {"series_instance_uid": series_uid, "state": "start requested"}


@ROUTER.post("/jobs/{job_id}/retry", status_code=HTTPStatus.ACCEPTED)
def retry(job_id: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Try a parked job again."""
    return _job_json(request_retry(store, job_id, now))


@ROUTER.post("/jobs/{job_id}/rerun", status_code=HTTPStatus.ACCEPTED)
def rerun(job_id: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Do an ended job again from the images."""
    return _job_json(request_rerun(store, job_id, now))


@ROUTER.post("/jobs/{job_id}/discard")
def discard(job_id: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Give up on a parked job."""
    return _job_json(request_discard(store, job_id, now))


class RetrievalRequest(BaseModel):
    """A series to fetch from a source that the configuration names."""

    model_config = ConfigDict(extra="forbid")

    source: str
    study_instance_uid: str
    series_instance_uid: str


@ROUTER.post("/retrieve", status_code=HTTPStatus.ACCEPTED)
def retrieve(
    request: RetrievalRequest, settings: SiteSettings, store: SiteStore, now: Now
) -> dict[str, int]:
    """Have a series fetched by WADO-RS; the request's number."""
    if request.source not in settings.sources:
        known = ", ".join(settings.sources) or "none"
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"the configuration has no source {request.source!r}; it has: {known}",
        )
    study, series = Uid(request.study_instance_uid), Uid(request.series_instance_uid)
    return {"retrieval": store.request_retrieval(request.source, study, series, now)}


@ROUTER.get("/retrievals/{number}")
def get_retrieval(number: Number, store: SiteStore) -> dict[str, Any]:
    """What became of a request to fetch a series."""
    found = store.get_retrieval(number)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no retrieval {number}")
    return asdict(found)


def known_series(store: Store, series_uid: str) -> StoredSeries:
    """The series; the request ends with 404 where it is unknown."""
    series = store.get_series(series_uid)
    if series is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no series {series_uid} has been received")
    return series


def known_job(store: Store, job_id: str) -> Job:
    """The job; the request ends with 404 where it is unknown."""
    job = store.get_job(job_id)
    if job is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no job {job_id}")
    return job


def request_start(store: Store, series_uid: str, now: Now) -> None:
    """Has the series decided now; the request ends with 404 where it is unknown."""
    if not store.request_start(series_uid, now):
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no series {series_uid} has been received")


def request_retry(store: Store, job_id: str, now: Now) -> Job:
    """Queues a parked job again; the request ends with 404 or 409 where that cannot be."""
    try:
        return store.retry_job(job_id, now)
    except UnknownJob as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no job {job_id}") from error
    except IllegalChange as error:
        state = known_job(store, job_id).state
        told = f"job {job_id} is {state}; only a parked job can be retried"
        raise HTTPException(HTTPStatus.CONFLICT, told) from error


def request_rerun(store: Store, job_id: str, now: Now) -> Job:
    """Queues an ended job from its beginning; the request ends with 404 or 409 where it cannot."""
    try:
        return store.rerun_job(job_id, now)
    except UnknownJob as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no job {job_id}") from error
    except IllegalChange as error:
        told = f"{error}; only a job that has ended, with its images here, can be done again"
        raise HTTPException(HTTPStatus.CONFLICT, told) from error


def request_discard(store: Store, job_id: str, now: Now) -> Job:
    """Gives up on a parked job; the request ends with 404 or 409 where that cannot be."""
    try:
        return store.change_job(job_id, JobState.DISCARDED, now)
    except UnknownJob as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no job {job_id}") from error
    except IllegalChange as error:
        state = known_job(store, job_id).state
        told = f"job {job_id} is {state}; only a parked job can be discarded"
        raise HTTPException(HTTPStatus.CONFLICT, told) from error


def _series_json(found: SeriesOutcome) -> dict[str, Any]:
    jobs = [_job_json(job) for job in found.jobs]
    told = {"outcome": found.outcome, "reason": found.reason, "jobs": jobs}
    return asdict(found.series) | told


def _job_json(job: Job) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(job).items() if name not in _OF_THE_HOST}
    return kept | {
        "has_picture": job.picture_path is not None,
        "result": asdict(result_identity(job.job_id)) if job.result_path is not None else None,
    }
