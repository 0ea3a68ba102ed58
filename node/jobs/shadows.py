"""The shadow runs and the feedback that the decision about a series gives rise to."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from node.domain.evaluation.feedback import Feedback, FeedbackState
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState, shadow_id
from node.domain.job import Job
from node.domain.series import StoredInstance, StoredSeries
from node.domain.sop_classes import SEGMENTATIONS
from node.routing.rules import Rule


def shadow_runs_of(
    jobs: Sequence[Job], rules: Sequence[Rule], now: datetime
) -> Iterator[ShadowRun]:
    """Yields a run of each candidate that the rules of a job name."""
    for job in jobs:
        candidates = [rule.shadow for rule in rules if rule.name in job.rules and rule.shadow]
        for candidate in dict.fromkeys(candidates):
            yield ShadowRun(
                shadow_id=shadow_id(job.job_id, candidate),
                job_id=job.job_id,
                series_instance_uid=job.series_instance_uid,
                active=job.model_reference,
                candidate=candidate,
                state=ShadowState.WAITING,
                created_at=now,
                updated_at=now,
            )


def is_segmentation(instances: Sequence[StoredInstance]) -> bool:
    """Whether a series holds segmentations alone."""
    classes = {instance.sop_class_uid for instance in instances}
    return bool(classes) and classes <= SEGMENTATIONS.keys()


def feedback_of(
    series: StoredSeries, instances: Sequence[StoredInstance], now: datetime
) -> Iterator[Feedback]:
    """Yields each segmentation of the series; later its header says what it segments."""
    for instance in instances:
        if instance.sop_class_uid in SEGMENTATIONS:
            yield Feedback(
                sop_instance_uid=instance.sop_instance_uid,
                series_instance_uid=series.series_instance_uid,
                study_instance_uid=series.study_instance_uid,
                sender=series.origin.partition(" ")[2],
                state=FeedbackState.WAITING,
                received_at=now,
                updated_at=now,
            )
