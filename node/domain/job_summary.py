"""One-line summary of a job."""

from node.domain.job import Job


def outcome(job: Job) -> str:
    """The volumes of a job's organs, or the reason why there are none."""
    if job.reason:
        return job.reason
    volumes = []
    for label, measured in job.measurements.items():
        bound = "at least " if measured["cut_by_series"] else ""
        volume = f"{bound}{measured['volume_ml']:.0f} mL"
        volumes.append(f"{label} {volume if measured['volume_ml'] > 0 else 'not found'}")
    return ", ".join(volumes)
