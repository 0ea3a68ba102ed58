"""Jobs as rows of their table."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_

from node.domain.findings import Finding, FindingKind
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, Priority, ReplacedResult
from node.domain.result_objects import NOTICE
from node.domain.series import SeriesPart
from node.store.repository import Repository
from node.store.schema import JOBS

# The only object is the notice of a refusal, as in `Job.is_refusal`; its file has that name.
HAS_NOTICE = JOBS.c.result_path.like(f"%/{NOTICE.name}.%")
_MAX_RULE_TEXT = 200  # characters of the column


def has_visible_state(state: JobState) -> ColumnElement[bool]:
    """Whether people see the job in this state; see `Job.visible_state`."""
    is_notified = and_(JOBS.c.state == JobState.DELIVERING, HAS_NOTICE)
    match state:
        case JobState.REFUSED:
            return or_(JOBS.c.state == state, is_notified)
        case JobState.DELIVERING:
            # A path that is NULL is not that of a notice.
            return and_(JOBS.c.state == state, is_notified.is_not(True))
        case _:
            return JOBS.c.state == state


class JobRows(Repository):
    """Converts jobs to rows and back."""

    def _job_row(self, job: Job) -> dict[str, object]:
        replaces = job.replaces
        return {
            "job_id": job.job_id,
            "series_instance_uid": job.series_instance_uid,
            "study_instance_uid": job.study_instance_uid,
            "series_digest": job.series_digest,
            "instance_count": job.instance_count,
            "rule": _rule_text(job),
            "rules": list(job.rules) or None,
            "part": None if job.part is None else asdict(job.part),
            "model_id": job.model_id,
            "model_version": job.model_version,
            "destinations": list(job.destinations),
            "state": job.state,
            "reason": job.reason,
            "replaces_sop_instance_uid": None if replaces is None else replaces.sop_instance_uid,
            "replaces_instance_count": None if replaces is None else replaces.instance_count,
            "replaces_model_version": None if replaces is None else replaces.model_version,
            "timings_s": job.timings_s,
            "measurements": job.measurements,
            "findings": [asdict(each) for each in job.findings],
            "result_path": self._to_row(job.result_path),
            "picture_path": self._to_row(job.picture_path),
            "run_number": 1,
            "priority": job.priority,
            "source": job.source,
            "created_at": job.created_at,
            "updated_at": job.updated_at,
        }

    def _job(self, row: Row[Any]) -> Job:
        return Job(
            job_id=row.job_id,
            series_instance_uid=Uid(row.series_instance_uid),
            study_instance_uid=Uid(row.study_instance_uid),
            series_digest=row.series_digest,
            instance_count=row.instance_count,
            rule=row.rule if row.rules is None else ", ".join(row.rules),
            model_id=row.model_id,
            model_version=row.model_version,
            destinations=tuple(row.destinations),
            state=JobState(row.state),
            reason=row.reason,
            replaces=None
            if row.replaces_sop_instance_uid is None
            else ReplacedResult(
                Uid(row.replaces_sop_instance_uid),
                row.replaces_instance_count,
                row.replaces_model_version or "",
            ),
            timings_s=row.timings_s,
            measurements=row.measurements,
            result_path=self._from_row(row.result_path),
            picture_path=self._from_row(row.picture_path),
            created_at=row.created_at,
            updated_at=row.updated_at,
            priority=Priority(row.priority),
            source=row.source,
            turn=row.turn,
            findings=tuple(
                Finding(FindingKind(each["kind"]), each["organ"], each["text"])
                for each in row.findings or ()
            ),
            # An earlier version stored the names as one text.
            rules=(row.rule,) if row.rules is None else tuple(row.rules),
            part=None if row.part is None else SeriesPart.from_json(row.part),
        )


def _rule_text(job: Job) -> str:
    """Returns the column `rule`, the only one with rules that earlier versions know.

    For a part it names no rule: an earlier version, which knows no parts, then refuses the series
    instead of segmenting the acquisition that a rule of that name chooses.
    """
    text = job.rule if job.part is None else f"{job.part.title} of {job.rule}"
    return text[:_MAX_RULE_TEXT]
