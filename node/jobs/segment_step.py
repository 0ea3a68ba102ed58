"""First step of a job: segments the stored series and stores its result objects."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from node.domain.delivery import DeliveryKey
from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.findings import Finding
from node.domain.job import HELD, Job, JobState, ReplacedResult
from node.domain.result_objects import (
    NOTICE,
    SEG,
    ResultKind,
    ResultObject,
    StoredObject,
    WantedObjects,
)
from node.domain.retry_policy import RetryPolicy, given_up
from node.domain.series import StoredInstance, series_digest
from node.jobs.inference import Infer, InferenceRequest, InferenceResult, OtherResults
from node.jobs.job_completion import JobCompletion
from node.jobs.other_results import OtherModels
from node.routing.rules import CombinedRules, Rule
from node.store import Store
from node.store.jobs.jobs import IllegalChange

_LOG = structlog.get_logger()
_STAND_FOR_RESULT = {ResultKind.SEG, ResultKind.NOTICE}
# A defect may be temporary (such as memory pressure); a second one is the job's.
_MAX_ATTEMPTS_AFTER_DEFECT = 2


@dataclass(frozen=True)
class SegmentStep:
    """Produces the objects of a job.

    `infer` runs the model on the files of a series; `installed_version` maps a model's name, as
    rules write it, to the version of its installed package. `wanted` names the objects by
    destination; one that it leaves out gets the SEG. `rules` are by name, in the order of the
    configuration. `other_models` finds what a result is compared with; None compares with nothing.
    `policy` applies to transient errors; `jitter` is in [0, 1).
    """

    store: Store
    infer: Infer
    installed_version: Callable[[str], str]
    policy: RetryPolicy
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    wanted: Mapping[str, WantedObjects] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    other_models: OtherModels | None = None
    retry_s: float = 5.0  # after a defect

    def run(self, job_id: str, number: int) -> float | None:
        """Makes attempt `number`; returns the seconds until the next one, None if none follows.

        Afterwards the job is DELIVERING, REFUSED, SUPERSEDED or PARKED. It is still RUNNING after
        a transient error; see `postpone`. While the inference is paused, a job that needs the
        model stays as it is; the end of the pause continues it.
        """
        job = self.store.get_job(job_id)
        if job is None or job.state not in {JobState.QUEUED, JobState.RUNNING}:
            return None
        if self.store.is_inference_paused() and not self._has_result(job):
            return None
        failure = attempt(lambda: self._segment(job))
        return None if failure is None else self._handle_failure(job, number, failure)

    def postpone(self, job_id: str, run_number: int) -> float | None:
        """Postpones a job after a transient error; returns the seconds until its next attempt.

        Returns None if the run had no such error, or if the inference is paused. A job that has
        waited too long is parked.
        """
        job = self.store.get_job(job_id)
        failed = self.store.failed_attempts(job_id)
        if job is None or job.state is not JobState.RUNNING or not failed:
            return None
        if self.store.run_number(job_id) != run_number:
            return None
        now, error = self.now(), failed[-1].detail
        if self.store.is_inference_paused():
            reason = f"{error}; the next attempt follows when the inference is resumed"
            self.store.set_waiting_reason(job_id, reason, now)
            return None
        age = now - failed[0].happened_at
        if age >= self.policy.give_up_after:
            JobCompletion(self.store, self.now).end(job, JobState.PARKED, given_up(age, error))
            return None
        wait_s = self.policy.delay_s(len(failed), self.jitter())
        _LOG.warning(
            "job.postponed", job=job_id, error=error, attempts=len(failed), wait_s=round(wait_s)
        )
        due = now + timedelta(seconds=wait_s)
        reason = f"{error}; the next attempt is at {due:%Y-%m-%d %H:%M:%S} UTC"
        self.store.set_waiting_reason(job_id, reason, now)
        return wait_s

    def _handle_failure(
        self, job: Job, number: int, failure: Rejected | Transient | Defect
    ) -> float | None:
        """Handles a failed attempt: ends the job, or returns the seconds until the next attempt."""
        completion = JobCompletion(self.store, self.now)
        match failure:
            case Rejected():
                self.store.record_rejection(job.job_id, failure.reason, self.now())
                completion.end(job, JobState.REFUSED, str(failure))
            case Transient():
                self.store.record_failed_attempt(job.job_id, str(failure), self.now())
            case Defect():
                completion.record_defect(job.job_id, failure)
                if number < _MAX_ATTEMPTS_AFTER_DEFECT:
                    return self.retry_s
                reason = f"the segmentation failed: {failure.message}"
                completion.end(job, JobState.PARKED, reason)
        return None

    def _segment(self, job: Job) -> None:
        # A job that was superseded while the model ran refuses the change.
        with suppress(IllegalChange):
            started = self.now()
            job = self.store.change_job(job.job_id, JobState.RUNNING, started, reason="")
            if self._has_result(job):
                self.store.add_deliveries(job.job_id, self._delivery_keys(job), started)
                self.store.change_job(job.job_id, JobState.DELIVERING, started)
                return
            instances = self.store.instances_of(job.series_instance_uid)
            obsolete = self._why_obsolete(job, instances)
            if obsolete:
                JobCompletion(self.store, self.now).end(job, JobState.SUPERSEDED, obsolete)
                return
            # An earlier result may have been sent after this job was created.
            replaces = job.replaces or self.store.previous_result(
                job.job_id, job.series_instance_uid, job.model_id, job.part, job.rules
            )
            with (
                self.store.files.local_copies([i.path for i in instances]) as files,
                self.store.files.scratch_folder() as output,
            ):
                request = self.request(job, files, output, replaces)
                inferred = self.infer(request, self._other_results(job))
                result = self._store_objects(job, inferred)
            self._record(job, inferred, result, started)

    def _has_result(self, job: Job) -> bool:
        """Whether the result is stored, so that the job does not need the model."""
        path = job.result_path
        return path is not None and not job.is_refusal and self.store.files.exists(path)

    def _other_results(self, job: Job) -> OtherResults | None:
        """Returns what provides the results to compare with; None if there will be none."""
        if self.other_models is None or not self.other_models.may_exist(job):
            return None
        return partial(self.other_models.results, job)

    def request(
        self, job: Job, files: Sequence[Path], output: Path, replaces: ReplacedResult | None
    ) -> InferenceRequest:
        """Returns what the job asks of the model, as its rules are configured now."""
        combined = self._combined_rules(job)
        return InferenceRequest(
            job,
            tuple(files),
            output,
            self._objects(job),
            replaces,
            mark_on=combined.mark_on,
            min_agreement=combined.min_agreement,
            acquisitions=combined.acquisitions,
            with_notice=bool(self._notice_keys(job)),
        )

    def _record(self, job: Job, inferred: InferenceResult, result: Path, started: datetime) -> None:
        """Adds the deliveries and changes the state of a job whose objects are stored."""
        if inferred.rejection is not None:
            self.store.record_rejection(job.job_id, inferred.rejection, self.now())
        picture = None
        if inferred.picture_png:
            picture = self._folder(job) / "overlay.png"
            self.store.files.put(picture, [inferred.picture_png])
        held = self._why_held(job, inferred.findings)
        keys = self._notice_keys(job) if inferred.refusal else self._delivery_keys(job)
        # An earlier run may have had other deliveries.
        self.store.keep_deliveries(job.job_id, [] if held else keys)
        if not held:
            # A job in DELIVERING has all its deliveries, so they are added first; but not before
            # the result exists and is released, because they are given up at a certain age.
            self.store.add_deliveries(job.job_id, keys, self.now())
        waited_s = max(0.0, (started - job.created_at).total_seconds())
        self.store.change_job(
            job.job_id,
            JobState.PARKED if held else JobState.DELIVERING,
            self.now(),
            reason=held or inferred.refusal,
            timings_s={"waited": waited_s} | inferred.timings_s,
            measurements=inferred.measurements,
            findings=inferred.findings,
            result_path=result,
            picture_path=picture,
        )
        if held:
            _LOG.warning("job.held", job=job.job_id, findings=len(inferred.findings))

    def _combined_rules(self, job: Job) -> CombinedRules:
        """Combines the job's rules as they are configured now; one that is gone does not count."""
        return CombinedRules.of([rule for name, rule in self.rules.items() if name in job.rules])

    def _why_held(self, job: Job, findings: Sequence[Finding]) -> str:
        """Returns why the result is held; empty if it is not.

        The rules name findings for which they hold it. The result of a series is also held if an
        image was refused that the series had still to get.
        """
        hold_on = self._combined_rules(job).hold_on
        texts = [finding.text for finding in findings if finding.kind in hold_on]
        incomplete = self.store.incomplete_series([job.series_instance_uid])
        texts += [f"{each.text} {each.remedy}" for each in incomplete.values()]
        return f"{HELD}{' '.join(texts)}" if texts else ""

    def _objects(self, job: Job) -> tuple[ResultObject, ...]:
        """Returns what the job's destinations get, fallbacks included; at least one is a SEG.

        Reports reference the SEG of their encoding, so that is included as well.
        """
        wanted = [self.wanted.get(name, WantedObjects()) for name in job.destinations]
        objects = {each for one in wanted for each in (*one.objects, *one.fallback)}
        objects |= {each.segmentation for each in objects if each.kind is ResultKind.SR}
        if not any(each.kind is ResultKind.SEG for each in objects):
            objects.add(SEG)
        return tuple(sorted(objects))

    def _delivery_keys(self, job: Job) -> list[str]:
        return [
            str(DeliveryKey(name, each))
            for name in job.destinations
            for each in self.wanted.get(name, WantedObjects()).objects
        ]

    def _notice_keys(self, job: Job) -> list[str]:
        return [
            str(DeliveryKey(name, NOTICE))
            for name in job.destinations
            if self.wanted.get(name, WantedObjects()).notice
        ]

    def _store_objects(self, job: Job, inferred: InferenceResult) -> Path:
        """Stores the objects; returns the path of the one that stands for the result.

        That is the first SEG, or the notice of a refusal.
        """
        stored = []
        for produced in inferred.objects:
            folder = self._folder(job) / produced.result_object.name
            paths = []
            for file in produced.files:
                several = len(produced.files) > 1
                path = folder / file.name if several else folder.with_suffix(file.suffix)
                self.store.files.put(path, [file.read_bytes()])
                paths.append(path)
            size_bytes = sum(file.stat().st_size for file in produced.files)
            stored.append(
                StoredObject(
                    job.job_id,
                    produced.result_object,
                    produced.sop_class_uid,
                    tuple(paths),
                    size_bytes,
                )
            )
        self.store.record_objects(stored)
        return next(o.paths[0] for o in stored if o.result_object.kind in _STAND_FOR_RESULT)

    def _folder(self, job: Job) -> Path:
        return self.store.data_dir / "results" / job.job_id

    def _why_obsolete(self, job: Job, instances: Sequence[StoredInstance]) -> str:
        """Why a newer job replaces this one; empty if none does."""
        if series_digest(i.sop_instance_uid for i in instances) != job.series_digest:
            return "the series has grown since; a newer job replaces this one"
        selected = self._selected_versions(job)
        if job.model_version not in selected:
            # A new decision gives the series a job for the selected version.
            self.store.request_start(job.series_instance_uid, self.now())
            return f"{job.model_id} {job.model_version} has been replaced by version {selected[0]}"
        return ""

    def _selected_versions(self, job: Job) -> list[str]:
        """Returns the versions of the job's model that its rules select as configured now."""
        rules = [rule for name, rule in self.rules.items() if name in job.rules]
        names = [rule.model for rule in rules if rule.model_id == job.model_id] or [job.model_id]
        return [self.installed_version(name) for name in names]
