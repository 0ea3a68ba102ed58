"""Operations on series and jobs that the console and the REST API share.

An unknown series or job ends the request with 404, a change that its state does not allow with 409.
"""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from fastapi import HTTPException

from node.domain.audit.records import AuditActor
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.job import Job, JobState
from node.domain.queues.discarding import MAX_REASON, Discarding
from node.domain.series import Deletion, StoredSeries
from node.store import Store
from node.store.jobs.jobs import IllegalChange, UnknownJob


def require_series(store: Store, series_uid: str) -> StoredSeries:
    """Returns the series."""
    series = store.get_series(series_uid)
    if series is None:
        raise unknown_series(series_uid)
    return series


def require_job(store: Store, job_id: str) -> Job:
    """Returns the job."""
    job = store.get_job(job_id)
    if job is None:
        raise _unknown_job(job_id)
    return job


def read_job_file(store: Store, path: Path | None, missing: str) -> bytes:
    """Returns a result file of a job; ends with 404 and the message `missing` without one."""
    if path is None or not store.files.exists(path):
        raise HTTPException(HTTPStatus.NOT_FOUND, missing)
    with store.files.local_copies([path]) as (file,):
        return file.read_bytes()


def request_start(store: Store, series_uid: str, now: datetime) -> None:
    """Requests the decision on the series without waiting for its quiet time."""
    if not store.request_start(series_uid, now):
        raise unknown_series(series_uid)


def delete_series(
    store: Store, series_uid: str, reason: str, user: AuditActor, now: datetime
) -> None:
    """Deletes the images and results of a series; its row and its history stay.

    Ends with 409 if the series has none, or if it is not finished and does not wait for images.

    Raises:
        Rejected: the reason is missing or too long.
        Transient: the files cannot be deleted.
    """
    stated = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if not 0 < len(stated) <= MAX_REASON:
        message = f"state why the series is deleted, in at most {MAX_REASON} characters"
        raise Rejected(RejectionReason.INVALID_REQUEST, message)
    require_series(store, series_uid)
    try:
        deletion = store.delete_series(series_uid, now, by=user, reason=stated)
    except OSError as error:
        message = f"the files of series {series_uid} cannot be deleted: {error.strerror}"
        raise Transient(message) from error
    if deletion is not Deletion.DELETED:
        message = f"series {series_uid} is not deleted, because {deletion.why_not}"
        raise HTTPException(HTTPStatus.CONFLICT, message)


def release_job(store: Store, job_id: str, now: datetime) -> Job:
    """Delivers the result of a job that is held because of its findings."""
    job = require_job(store, job_id)
    if not job.is_held and not (job.state is not JobState.DISCARDED and store.was_held(job_id)):
        message = f"job {job_id} is {job.state} and not held for a person"
        raise HTTPException(HTTPStatus.CONFLICT, message)
    return retry_job(store, job_id, now)


def retry_job(store: Store, job_id: str, now: datetime) -> Job:
    """Queues a parked job again."""

    def refusal(_error: IllegalChange) -> str:
        state = require_job(store, job_id).state
        if state is not JobState.DISCARDED and store.was_held(job_id):
            return f"job {job_id} is already released; it is {state}"
        return f"job {job_id} is {state}; only a parked job can be retried"

    return _change(job_id, lambda: store.retry_job(job_id, now), refusal)


def rerun_job(store: Store, job_id: str, now: datetime) -> Job:
    """Queues an ended job again from the beginning."""

    def refusal(error: IllegalChange) -> str:
        return f"{error}; only a job that has ended can run again, while its images are stored"

    return _change(job_id, lambda: store.rerun_job(job_id, now), refusal)


def discard_job(store: Store, job_id: str, discarding: Discarding, now: datetime) -> Job:
    """Discards a parked job."""

    def refusal(_error: IllegalChange) -> str:
        state = require_job(store, job_id).state
        return f"job {job_id} is {state}; only a parked job can be discarded"

    return _change(job_id, lambda: store.discard_job(job_id, discarding, now), refusal)


def unknown_series(series_uid: str) -> HTTPException:
    """Returns the error 404 for a series that the node has not received."""
    return HTTPException(HTTPStatus.NOT_FOUND, f"no series {series_uid} has been received")


def _unknown_job(job_id: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"there is no job {job_id}")


def _change(job_id: str, change: Callable[[], Job], refusal: Callable[[IllegalChange], str]) -> Job:
    try:
        return change()
    except UnknownJob as error:
        raise _unknown_job(job_id) from error
    except IllegalChange as error:
        raise HTTPException(HTTPStatus.CONFLICT, refusal(error)) from error
