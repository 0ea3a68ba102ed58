"""JSON of series and jobs, and the query parameter that limits a list."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query

from node.domain.job import Job, result_identity
from node.store import SeriesOutcome

Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of entries.")]
_HOST_PATHS = {"result_path", "picture_path"}  # paths on the host are not published


def series_to_json(found: SeriesOutcome) -> dict[str, Any]:
    """Returns a series with its outcome and its jobs."""
    jobs = [job_to_json(job) for job in found.jobs]
    outcome = {"outcome": found.outcome, "reason": found.reason, "jobs": jobs}
    return asdict(found.series) | outcome


def job_to_json(job: Job) -> dict[str, Any]:
    """Returns a job without the paths of its files, with the UIDs of its result if there is one."""
    public = {name: value for name, value in asdict(job).items() if name not in _HOST_PATHS}
    return public | {
        "has_picture": job.picture_path is not None,
        "result": asdict(result_identity(job.job_id)) if job.result_path is not None else None,
    }
