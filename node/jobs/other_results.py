"""The results of other models on the same images, with which a job's result is compared."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import structlog

from node.dicom.results.comparison.other_result import OtherResult
from node.domain.job import Job, JobState
from node.store import Store

_LOG = structlog.get_logger()
# States of a job whose stored result still stands.
_WITH_RESULT = {JobState.DELIVERING, JobState.DELIVERED, JobState.PARKED}
# Objects of 400 slices are made and stored within a minute, also on a slow disk.
_MAX_WAIT_S = 180.0
_POLL_S = 0.5


@dataclass(frozen=True)
class OtherModels:
    """Finds the results that other models have of the same images.

    Of two jobs, at least the one that finishes second sees the other's result: each records that
    its organs are known before it looks for others, and waits for those that recorded it earlier
    and are storing their objects.

    `comparable` names, by model id, the other models that find an organ with the same code.
    """

    store: Store
    comparable: Mapping[str, Collection[str]]
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep

    def may_exist(self, job: Job) -> bool:
        """Whether another model may have a result to compare with."""
        return bool(self.comparable.get(job.model_id))

    @contextmanager
    def results(self, job: Job) -> Iterator[Sequence[OtherResult]]:
        """Yields the results of the other models as local files.

        The newest of each model counts. A job that has no result, or whose files are deleted, is
        left out.

        Raises:
            Transient: the database or the file storage does not answer.
        """
        candidates = [each.job_id for each in self._others(job)]
        earlier = self.store.record_analysis(job.job_id, candidates, self.now())
        self._wait_for(job, earlier)
        others = [each for each in self._others(job) if self._has_result(each)]
        newest = {each.model_id: each for each in others}  # the jobs are oldest first
        paths = [each.result_path for each in newest.values() if each.result_path is not None]
        with self.store.files.local_copies(paths) as files:
            yield [
                OtherResult(each.model_id, each.model_version, file, each.measurements)
                for each, file in zip(newest.values(), files, strict=True)
            ]

    def _others(self, job: Job) -> list[Job]:
        """Returns the jobs of other models for the same images, oldest first."""
        return [
            each
            for each in self.store.jobs_of(job.series_instance_uid)
            if (each.series_digest, each.part) == (job.series_digest, job.part)
            and each.model_id in self.comparable.get(job.model_id, ())
        ]

    def _has_result(self, job: Job) -> bool:
        return (
            job.state in _WITH_RESULT
            and job.result_path is not None
            and not job.is_refusal
            and self.store.files.exists(job.result_path)
        )

    def _wait_for(self, job: Job, earlier: Mapping[str, datetime]) -> None:
        """Waits until the jobs that recorded their organs earlier have stored their objects."""
        waited_s = 0.0
        while storing := self.store.still_storing(earlier):
            if waited_s >= _MAX_WAIT_S:  # its worker may have died
                _LOG.warning("job.not_compared", job=job.job_id, others=storing)
                return
            self.sleep(_POLL_S)
            waited_s += _POLL_S
