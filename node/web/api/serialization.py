"""JSON of series and jobs, and the query parameter that limits a list."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query

from node.domain.delivery import Delivery
from node.domain.job import Job
from node.domain.result_objects import StoredObject
from node.store import SeriesOutcome

Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of entries.")]
_HOST_PATHS = {"result_path", "picture_path"}  # paths on the host are not published


def series_to_json(found: SeriesOutcome) -> dict[str, Any]:
    """Returns a series with its outcome and its jobs."""
    jobs = [job_to_json(job) for job in found.jobs]
    outcome = {"outcome": found.outcome, "reason": found.reason, "jobs": jobs}
    return asdict(found.series) | outcome


def job_to_json(job: Job) -> dict[str, Any]:
    """Returns a job without the paths of its files, with the UIDs of its SEG if there is one."""
    public = {name: value for name, value in asdict(job).items() if name not in _HOST_PATHS}
    return public | {
        "state": job.visible_state,
        "part": None if job.part is None else asdict(job.part) | {"title": job.part.title},
        "has_picture": job.picture_path is not None,
        "result": None if job.result_path is None or job.is_refusal else _uids(job),
    }


def _uids(job: Job) -> dict[str, str]:
    uids = job.result_uids
    return {
        "series_instance_uid": uids.series_instance_uid,
        "sop_instance_uid": uids.sop_instance_uid(),
    }


def delivery_to_json(delivery: Delivery) -> dict[str, Any]:
    """Returns a delivery with the names of its destination and of the object."""
    fields = {name: value for name, value in asdict(delivery).items() if name != "key"}
    names = {"destination": delivery.destination, "object": delivery.result_object.name}
    return names | fields


def object_to_json(stored: StoredObject) -> dict[str, Any]:
    """Returns an object of a job without the paths of its files."""
    return {
        "object": stored.result_object.name,
        "sop_class_uid": stored.sop_class_uid,
        "series_instance_uid": stored.uids.series_instance_uid,
        "sop_instance_uids": list(stored.sop_instance_uids),
        "size_bytes": stored.size_bytes,
    }
