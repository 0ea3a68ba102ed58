"""Looks at what has come in and sets in motion what follows; every look is safe to repeat."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog
from pydicom import Dataset, dcmread

from node.dicom.ct.headers import PARSE_ERRORS, disk_error
from node.domain.failures import Defect, attempt
from node.domain.job import Job, JobState, Priority, job_id
from node.domain.series import SeriesState, StoredInstance, StoredSeries, series_digest
from node.jobs.commit_step import CommitStep
from node.jobs.completion import JobCompletion
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt
from node.jobs.quiet_time import QuietTimes
from node.jobs.workflow import RunState, Workflows
from node.routing.decision import Decision, decide
from node.routing.rules import Rule
from node.routing.series_facts import facts_from_dataset
from node.store import Store
from node.store.files import Files

_LOG = structlog.get_logger()
# A series over which we stumble is looked at again after this time, the others meanwhile.
_REST_AFTER_DEFECT_S = 60.0
# Of unfinished jobs; what lies beyond is looked at once these are done.
_MOST_JOBS = 10_000


@dataclass
class SeriesCompletion:
    """Decides each series once it is complete, and makes its jobs.

    `quiet_seconds` holds where no rule wants the series; `installed_version` is that of a model id.
    """

    store: Store
    rules: Sequence[Rule]
    quiet_seconds: float
    installed_version: Callable[[str], str]
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    _resting_until: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._quiet_times = QuietTimes(self.clock)

    def poll(self) -> None:
        """Decide every series that is complete now."""
        open_series = self.store.open_series()
        quiet = self._quiet_times.update(open_series, self.now())
        trouble = None
        for series in open_series:
            uid = series.series_instance_uid
            if self._resting_until.get(uid, 0.0) > self.clock():
                continue
            failure = attempt(partial(self._decide_if_complete, series, quiet[uid]))
            if isinstance(failure, Defect):
                self._resting_until[uid] = self.clock() + _REST_AFTER_DEFECT_S
                JobCompletion(self.store, self.now).record_defect(uid, failure)
            elif failure is not None:
                # Of the database, or of the files of this series: the others may be well.
                trouble = failure
        if trouble is not None:
            raise trouble

    def _decide_if_complete(self, series: StoredSeries, quiet: float) -> None:
        shortest = min([self.quiet_seconds, *(rule.quiet_seconds for rule in self.rules)])
        if quiet < shortest and not series.start_requested:
            return
        instances = self.store.instances_of(series.series_instance_uid)
        decision = self._decision(series, instances)
        wanted = [rule for rule in self.rules if rule.name in decision.rules]
        needed = max((rule.quiet_seconds for rule in wanted), default=self.quiet_seconds)
        if quiet >= needed or series.start_requested:
            self._record(series, instances, decision, wanted)

    def _decision(self, series: StoredSeries, instances: Sequence[StoredInstance]) -> Decision:
        header = _header(instances, self.store.files)
        facts = facts_from_dataset(header, len(instances), _peer(series))
        return decide(self.rules, facts)

    def _job(
        self,
        series: StoredSeries,
        instances: Sequence[StoredInstance],
        model_id: str,
        rules: Sequence[Rule],
    ) -> Job:
        version = self.installed_version(model_id)
        digest = series_digest(instance.sop_instance_uid for instance in instances)
        name = job_id(digest, model_id, version)
        now = self.now()
        return Job(
            job_id=name,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            series_digest=digest,
            instance_count=len(instances),
            rule=", ".join(rule.name for rule in rules),
            model_id=model_id,
            model_version=version,
            destinations=tuple(dict.fromkeys(d for rule in rules for d in rule.destinations)),
            state=JobState.QUEUED,
            reason="",
            replaces=self.store.previous_result(name, series.series_instance_uid, model_id),
            timings_s={},
            measurements={},
            result_path=None,
            picture_path=None,
            created_at=now,
            updated_at=now,
            priority=min((rule.priority for rule in rules), key=list(Priority).index),
            source=_peer(series),
        )

    def _record(
        self,
        series: StoredSeries,
        instances: Sequence[StoredInstance],
        decision: Decision,
        wanted: Sequence[Rule],
    ) -> None:
        """Keep the decision, with one job for each model that a rule wants.

        A job is delivered to all that the rules for its model name.
        """
        state = SeriesState.ACCEPTED if decision.rules else SeriesState.IGNORED
        uid, count = series.series_instance_uid, len(instances)
        jobs = [
            self._job(series, instances, model_id, [r for r in wanted if r.model == model_id])
            for model_id in dict.fromkeys(rule.model for rule in wanted)
        ]
        recorded = self.store.record_decision(
            uid, decision.to_json(), state, self.now(), seen_count=count, jobs=jobs
        )
        if recorded is None:
            return
        _LOG.info("series.decided", series=uid, instances=count, state=state.value)
        for job in recorded.new_jobs:
            _LOG.info(
                "job.queued",
                job=job.job_id,
                series=uid,
                instances=count,
                model=f"{job.model_id} {job.model_version}",
                replaces_earlier=job.replaces is not None,
            )


@dataclass
class JobScheduler:
    """Gives each job its workflow, and finds those that have lost it."""

    store: Store
    workflows: Workflows
    delivering: DeliverStep
    committing: CommitStep
    now: Callable[[], datetime]
    _started: set[tuple[str, int]] = field(default_factory=set)

    def poll(self) -> None:
        """Start what is queued."""
        queued = self.store.queued_jobs()
        for job, run_number in queued:
            if (job.job_id, run_number) not in self._started:
                self.workflows.start_job(job, run_number)
        self._started = {(job.job_id, run_number) for job, run_number in queued}

    def settle(self) -> None:
        """See to what destinations have committed themselves to, or have not."""
        for this, wait_s in self.committing.poll():
            self.workflows.start_delivery(this, after_s=wait_s)

    def repair(self) -> None:
        """Start what the engine knows nothing of or keeps too long, and park what broke in it."""
        self.workflows.cap_delays(self.delivering.policy.max_s)
        for job in self.store.list_jobs(_MOST_JOBS, {JobState.QUEUED, JobState.RUNNING}):
            match self._state_of_run(job):
                case RunState.UNKNOWN:
                    self.workflows.start_job(job, self.store.run_number(job.job_id))
                case RunState.BROKEN:
                    self._park(job)
                case RunState.ENDED:
                    self._continue(job)
        ended = [
            job.job_id
            for job in self.store.list_jobs(_MOST_JOBS, {JobState.DELIVERING})
            if self._state_of_run(job) is not RunState.ACTIVE
        ]
        # Asked after the runs: one that has ended has handed over its deliveries before.
        under_way = self.workflows.active_deliveries()
        for name in ended:
            for destination, number in self.delivering.open_tries(name):
                if (name, destination) not in under_way:
                    repair = f"-{self.now():%Y%m%d%H%M%S}"
                    self.workflows.start_delivery(
                        DeliveryAttempt(name, destination, number, streak=1), repair=repair
                    )

    def _state_of_run(self, job: Job) -> RunState:
        return self.workflows.run_state(job.job_id, self.store.run_number(job.job_id))

    def _continue(self, job: Job) -> None:
        """Have a job go on whose run has ended, unless it came to its end meanwhile."""
        now = self.store.get_job(job.job_id)
        if now is not None and now.state is job.state and now.updated_at == job.updated_at:
            self.workflows.continue_job(job, self.store.run_number(job.job_id))

    def _park(self, job: Job) -> None:
        told = (
            "the worker ended several times while it was at this job, or could not keep what it "
            "did; look at its log and at the memory and disk of the machine, then retry the job"
        )
        JobCompletion(self.store, self.now).end(job, JobState.PARKED, told)


def _peer(series: StoredSeries) -> str:
    return series.origin.partition(" ")[2]


def _header(instances: Sequence[StoredInstance], files: Files) -> Dataset:
    """The header of the first that can be read; empty where none can, so that no rule wants it.

    Raises:
        Transient: none can for now, as the disk or the bucket cannot be read.
    """
    trouble = None
    for instance in instances:
        try:
            with files.local_copies([instance.path]) as (file,):
                return dcmread(file, stop_before_pixels=True)
        except PARSE_ERRORS as error:
            _LOG.warning("series.unreadable", instance=instance.sop_instance_uid)
            trouble = disk_error(error) or trouble
    if trouble is not None:
        raise trouble
    return Dataset()
