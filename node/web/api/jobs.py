"""REST routes of jobs: list, picture, retry, release, rerun, discard."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from node.domain.job import JobState
from node.domain.queues.discarding import MAX_NAME, MAX_REASON, Discarding
from node.web import operations
from node.web.acting_user import CurrentUser
from node.web.api.serialization import Limit, delivery_to_json, job_to_json, object_to_json
from node.web.dependencies import Now, SiteStore

ROUTER = APIRouter(prefix="/api/jobs")
SearchedStates = Annotated[
    list[JobState] | None, Query(description="States of which a job must have one.")
]
PictureVersion = Annotated[
    str, Query(alias="v", description="Any text; with another one, a browser asks again.")
]
_PICTURE_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    # A browser shows a picture alone in a viewer page of its own, which has inline styles.
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
}


class DiscardRequest(BaseModel):
    """Why a job is discarded, and the name of who does it."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=MAX_REASON)
    by: str = Field("", max_length=MAX_NAME)


@ROUTER.get("")
def list_jobs(
    store: SiteStore, limit: Limit = 100, state: SearchedStates = None
) -> list[dict[str, Any]]:
    """Returns the latest jobs, newest first."""
    return [job_to_json(job) for job in store.list_jobs(limit, visible_states=state)]


@ROUTER.get("/{job_id}")
def get_job(job_id: str, store: SiteStore) -> dict[str, Any]:
    """Returns one job with its objects and deliveries."""
    job = operations.require_job(store, job_id)
    deliveries = [delivery_to_json(delivery) for delivery in store.deliveries_of(job_id)]
    objects = [object_to_json(stored) for stored in store.objects_of(job)]
    return job_to_json(job) | {"objects": objects, "deliveries": deliveries}


@ROUTER.get("/{job_id}/picture.png")
def picture(job_id: str, store: SiteStore, _version: PictureVersion = "") -> Response:
    """Returns the overlay picture of a job."""
    path = operations.require_job(store, job_id).picture_path
    content = operations.read_job_file(store, path, f"job {job_id} has no picture")
    return Response(content, media_type="image/png", headers=_PICTURE_HEADERS)


@ROUTER.post("/{job_id}/retry", status_code=HTTPStatus.ACCEPTED)
def retry(job_id: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Retries a parked job."""
    return job_to_json(operations.retry_job(store, job_id, now))


@ROUTER.post("/{job_id}/release", status_code=HTTPStatus.ACCEPTED)
def release(job_id: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Delivers the result of a job that is held because of its findings."""
    return job_to_json(operations.release_job(store, job_id, now))


@ROUTER.post("/{job_id}/rerun", status_code=HTTPStatus.ACCEPTED)
def rerun(job_id: str, store: SiteStore, now: Now) -> dict[str, Any]:
    """Runs an ended job again from the images."""
    return job_to_json(operations.rerun_job(store, job_id, now))


@ROUTER.post("/{job_id}/discard")
def discard(
    job_id: str, request: DiscardRequest, user: CurrentUser, store: SiteStore, now: Now
) -> dict[str, Any]:
    """Discards a parked job; the history keeps the reason and the user."""
    discarding = Discarding.of(request.reason, user.named(" ".join(request.by.split())))
    return job_to_json(operations.discard_job(store, job_id, discarding, now))
