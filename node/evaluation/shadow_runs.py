"""Runs candidates on the series of finished jobs, and compares them with the active model.

A shadow run is no job: it delivers nothing, holds nothing and marks nothing. It uses a process that
no job needs, and a job that needs it ends the run, which starts again later.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from models.installed_packages import InstalledPackages
from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.evaluation.organ_agreement import OrganAgreement
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState
from node.domain.job import Job, JobState
from node.domain.result_objects import SEG
from node.domain.series import series_digest
from node.jobs.inference import InferenceRequest, InferenceResult
from node.routing.rules import CombinedRules, Rule
from node.store import Store

_LOG = structlog.get_logger()
_MAX_ATTEMPTS = 3  # a worker that dies during a run leaves it RUNNING
_MAX_WAITING = 200  # per poll; the oldest come first
# A run whose job does not exist belongs to a decision that a more complete series has replaced.
_MAX_AGE_WITHOUT_JOB = timedelta(hours=1)
_WITHOUT_RESULT = {JobState.REFUSED, JobState.SUPERSEDED, JobState.DISCARDED}
# What a model takes; reading and measuring are the same for all models, encoding is no part of it.
_MODEL_STAGES = ("read", "segment", "measure")


class InferIfIdle(Protocol):
    """Runs a model while no job needs the process; returns None if one does."""

    def __call__(self, request: InferenceRequest, /) -> InferenceResult | None:
        """Returns what the model makes of the series of the request."""
        ...


@dataclass(frozen=True)
class ShadowRunner:
    """Runs one waiting shadow run at a time.

    `rules` are by name, in the order of the configuration. `timeout` is the longest time that a run
    can take; one that is RUNNING for longer has lost its worker.
    """

    store: Store
    infer_if_idle: InferIfIdle
    packages: InstalledPackages
    rules: Mapping[str, Rule]
    timeout: timedelta
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Runs the oldest waiting run whose job has a result, if no job waits for the model.

        Raises:
            Transient: the database or the file storage does not answer.
        """
        self._resume_lost()
        for run in self.store.shadow_runs(ShadowState.WAITING, _MAX_WAITING, oldest_first=True):
            job = self.store.get_job(run.job_id)
            reason = self._why_skipped(run, job)
            if reason:
                self._end(run, ShadowState.SKIPPED, reason)
            elif job is not None and job.result_path is not None:
                if not self.store.queued_jobs() and self.store.claim_shadow_run(run, self.now()):
                    claimed = replace(run, attempts=run.attempts + 1)
                    self._handle(claimed, attempt(partial(self._run, claimed, job)))
                return

    def _resume_lost(self) -> None:
        """Makes runs wait again whose worker died; one that keeps killing it fails."""
        before = self.now() - self.timeout
        for run in self.store.shadow_runs(ShadowState.RUNNING):
            if run.updated_at >= before:
                continue
            if run.attempts >= _MAX_ATTEMPTS:
                self._end(run, ShadowState.FAILED, "the worker ended several times during this run")
            else:
                self.store.record_shadow_run(self._changed(run, ShadowState.WAITING))

    def _why_skipped(self, run: ShadowRun, job: Job | None) -> str:
        """Says why there will be nothing to compare with; empty if there is or may be."""
        if job is None:
            old = self.now() - run.created_at > _MAX_AGE_WITHOUT_JOB
            return "its job was never created" if old else ""
        if job.is_refusal or job.state is JobState.REFUSED:
            return f"{run.active} refused the series: {job.reason}"
        if job.state in _WITHOUT_RESULT and job.result_path is None:
            return f"the job of {run.active} is {job.state}"
        if job.state is JobState.DELIVERED and job.result_path is None:
            return "the images or the result have been deleted"
        return ""

    def _run(self, run: ShadowRun, job: Job) -> ShadowRun | None:
        """Runs and compares; returns the changed run, None if a job needed the process."""
        instances = self.store.instances_of(job.series_instance_uid)
        active = job.result_path
        if active is None or series_digest(i.sop_instance_uid for i in instances) != (
            job.series_digest
        ):
            reason = "the series has changed since, or its images are deleted"
            return replace(run, state=ShadowState.SKIPPED, reason=reason)
        with (
            self.store.files.local_copies([active, *(i.path for i in instances)]) as files,
            self.store.files.scratch_folder() as output,
        ):
            request = self._request(run, job, files[1:], output)
            inferred = self.infer_if_idle(request)
            if inferred is None:
                return None
            candidate = inferred.objects[0].files[0]
            organs = self._compare(files[0], candidate, request)
            path = self.store.data_dir / "results" / job.job_id / f"shadow-{run.shadow_id}.dcm"
            self.store.files.put(path, [candidate.read_bytes()])
        return replace(
            run,
            state=ShadowState.COMPARED,
            organs=organs,
            active_s=_model_seconds(job.timings_s),
            candidate_s=_model_seconds(inferred.timings_s),
            result_path=path,
            reason="",
        )

    def _request(
        self, run: ShadowRun, job: Job, files: Sequence[Path], output: Path
    ) -> InferenceRequest:
        """Returns the request for the candidate; its objects have UIDs of their own."""
        spec = self.packages.find(run.candidate)
        combined = self._combined_rules(job)
        as_job = replace(
            job,
            job_id=run.shadow_id,
            model_id=spec.model_id,
            model_version=spec.version,
            destinations=(),
            replaces=None,
            result_path=None,
        )
        return InferenceRequest(
            as_job, tuple(files), output, (SEG,), acquisitions=combined.acquisitions
        )

    def _compare(
        self, active: Path, candidate: Path, request: InferenceRequest
    ) -> tuple[OrganAgreement, ...]:
        # Imported here: only a site with shadow runs makes the worker read CT and SEG.
        from node.dicom.results.comparison.segment_agreement import compare_results

        part = request.job.part
        return compare_results(active, candidate, request.files, request.acquisitions, part)

    def _combined_rules(self, job: Job) -> CombinedRules:
        return CombinedRules.of([rule for name, rule in self.rules.items() if name in job.rules])

    def _handle(
        self, run: ShadowRun, outcome: ShadowRun | Rejected | Transient | Defect | None
    ) -> None:
        """Stores the outcome. A failure is the candidate's, and no problem of the site."""
        match outcome:
            case ShadowRun():
                self._end(outcome, outcome.state, outcome.reason)
            case None:  # not counted as an attempt
                again = replace(run, attempts=run.attempts - 1)
                self.store.record_shadow_run(self._changed(again, ShadowState.WAITING))
            case Transient() if run.attempts < _MAX_ATTEMPTS:
                again = replace(run, reason=str(outcome))
                self.store.record_shadow_run(self._changed(again, ShadowState.WAITING))
            case Rejected() | Transient():
                self._end(run, ShadowState.FAILED, str(outcome))
            case Defect():
                _LOG.warning("shadow.defect", shadow=run.shadow_id, trace=outcome.trace)
                self._end(run, ShadowState.FAILED, outcome.message)

    def _end(self, run: ShadowRun, state: ShadowState, reason: str) -> None:
        self.store.record_shadow_run(replace(self._changed(run, state), reason=reason))
        _LOG.info(
            "shadow.ended",
            shadow=run.shadow_id,
            job=run.job_id,
            candidate=run.candidate,
            state=state.value,
            seconds=run.candidate_s,
        )

    def _changed(self, run: ShadowRun, state: ShadowState) -> ShadowRun:
        return replace(run, state=state, updated_at=self.now())


def _model_seconds(timings_s: Mapping[str, float]) -> float:
    return sum(timings_s.get(stage, 0.0) for stage in _MODEL_STAGES)
