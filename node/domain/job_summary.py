"""One-line summary of a job."""

from collections.abc import Mapping

from node.domain.job import Job


def is_lower_bound(measured: Mapping[str, float | bool]) -> bool:
    """Whether the images do not show the whole organ, so that its volume is a lower bound."""
    return bool(measured.get("cut_by_series") or measured.get("touches_field_of_view"))


def outcome(job: Job) -> str:
    """The volumes of a job's organs, or the reason why there are none."""
    if job.reason:
        return job.reason
    volumes = []
    for label, measured in job.measurements.items():
        bound = "at least " if is_lower_bound(measured) else ""
        volume = f"{bound}{measured['volume_ml']:.0f} mL"
        volumes.append(f"{label} {volume if measured['volume_ml'] > 0 else 'not found'}")
    return ", ".join(volumes)
