"""Compares segmentations that people stored with the node's results for the same images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.evaluation.feedback import Feedback, FeedbackComparison, FeedbackState
from node.domain.identifiers import Uid
from node.domain.job import Job
from node.domain.result_objects import ObjectUids, ResultKind, ResultObject, SegEncoding
from node.routing.rules import CombinedRules, Rule
from node.store import Store

_LOG = structlog.get_logger()
# A segmentation may arrive before its images, or before their job has run. After this time it
# belongs to images that the node does not segment.
_MAX_WAIT = timedelta(days=2)


@dataclass(frozen=True)
class FeedbackComparer:
    """Compares each received segmentation once the node has a result for the same images.

    `rules` are by name, in the order of the configuration.
    """

    store: Store
    rules: Mapping[str, Rule]
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Compares every segmentation whose images have a result.

        Raises:
            Transient: the database or the file storage does not answer.
        """
        self.store.remove_waiting_feedback(self.now() - _MAX_WAIT)
        error = None
        for received in self.store.feedback_to_compare():
            outcome = attempt(partial(self._handle, received))
            match outcome:
                case Transient():
                    # The cause may be this file alone: continue with the others.
                    error = outcome
                case Rejected():
                    self._end(received, FeedbackState.FAILED, str(outcome))
                case Defect():
                    _LOG.warning("feedback.defect", trace=outcome.trace)
                    self._end(received, FeedbackState.FAILED, outcome.message)
        if error is not None:
            raise error

    def _handle(self, received: Feedback) -> None:
        if received.source_series_instance_uid is None:
            source = self._source_of(received)
            if source is None:
                reason = "it does not say which series it segments"
                self._end(received, FeedbackState.FAILED, reason)
                return
            received = replace(received, source_series_instance_uid=source)
            self.store.record_feedback(received)
        source = received.source_series_instance_uid
        jobs = () if source is None else self.store.jobs_of(source)
        if any(_is_result_of(received, job) for job in jobs):
            self.store.remove_feedback(received.sop_instance_uid)  # the node's own result
        elif with_result := latest_results(jobs):
            self._compare(received, with_result)

    def _source_of(self, received: Feedback) -> Uid | None:
        """Returns the series that the segmentation refers to; None if it names none we know.

        Raises:
            Rejected: its file is deleted or cannot be read.
        """
        # Imported here: only a site that receives segmentations makes the worker read them.
        from node.dicom.results.comparison.source_reference import source_reference

        with self.store.files.local_copies([file_of(self.store, received)]) as (file,):
            reference = source_reference(file)
        if reference.series_instance_uid is not None or reference.sop_instance_uid is None:
            return reference.series_instance_uid
        image = self.store.find_instance(reference.sop_instance_uid)
        return None if image is None else image.series_instance_uid

    def _compare(self, received: Feedback, jobs: Sequence[Job]) -> None:
        from node.dicom.ct.reader import read_series
        from node.dicom.results.comparison.segment_agreement import compare_with_person
        from node.dicom.results.comparison.stored_segments import NotComparable

        segmentation = file_of(self.store, received)
        images = [i.path for i in self.store.instances_of(jobs[0].series_instance_uid)]
        compared, problems = [], []
        for job in jobs:
            if job.result_path is None:
                continue
            with self.store.files.local_copies([segmentation, job.result_path, *images]) as files:
                source = read_series(files[2:], self._combined(job).acquisitions, job.part)
                try:
                    organs = compare_with_person(files[0], files[1], source)
                except NotComparable as error:
                    problems.append(str(error))
                    continue
            if organs:
                compared.append(FeedbackComparison(job.job_id, job.model_reference, organs))
        if not compared:
            reason = "; ".join(dict.fromkeys(problems)) or "no segment shows an organ of the models"
            self._end(received, FeedbackState.FAILED, reason)
            return
        self._end(replace(received, comparisons=tuple(compared)), FeedbackState.COMPARED, "")

    def _combined(self, job: Job) -> CombinedRules:
        return CombinedRules.of([rule for name, rule in self.rules.items() if name in job.rules])

    def _end(self, received: Feedback, state: FeedbackState, reason: str) -> None:
        changed = replace(received, state=state, reason=reason, updated_at=self.now())
        self.store.record_feedback(changed)
        _LOG.info("feedback.ended", segmentation=received.sop_instance_uid, state=state.value)


def file_of(store: Store, received: Feedback) -> Path:
    """Returns the path of a received segmentation.

    Raises:
        Rejected: its file is deleted.
    """
    found = store.find_instance(received.sop_instance_uid)
    if found is None:
        raise Rejected(RejectionReason.INVALID_INSTANCE, "the segmentation has been deleted")
    return found.instance.path


def _is_result_of(received: Feedback, job: Job) -> bool:
    """Whether the segmentation is a SEG of that job, in any encoding, that came back."""
    return received.sop_instance_uid in {
        ObjectUids(job.job_id, ResultObject(ResultKind.SEG, encoding)).sop_instance_uid()
        for encoding in SegEncoding
    }


def latest_results(jobs: Sequence[Job]) -> list[Job]:
    """Returns the newest job with a result of each model and part."""
    found = {
        (job.model_id, None if job.part is None else job.part.key): job
        for job in jobs  # oldest first
        if job.result_path is not None and not job.is_refusal
    }
    return list(found.values())
