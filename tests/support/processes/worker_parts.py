"""The components of a worker in one process: scheduling, DBOS and store, with a fake model."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from node.commitment.scu import CommitmentScu
from node.delivery.destination import ResultFile
from node.delivery.folder import Folder
from node.dicom.results.comparison.other_result import OtherResult
from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason
from node.domain.findings import Finding, FindingKind
from node.domain.instance import Channel, Origin
from node.domain.job import Job, JobState, ReplacedResult
from node.domain.result_objects import NOTICE, WantedObjects
from node.domain.retry_policy import RetryPolicy
from node.domain.series import AcquisitionChoice
from node.intake.inbox import Inbox
from node.intake.part10 import received_from_file
from node.jobs.commit_step import CommitStep
from node.jobs.deliver_step import DeliverStep
from node.jobs.early.early_runs import EarlyRuns
from node.jobs.early.early_start import EarlyStart
from node.jobs.inference import InferenceRequest, InferenceResult, OtherResults
from node.jobs.job_scheduling import JobScheduler
from node.jobs.other_results import OtherModels
from node.jobs.segment_step import SegmentStep
from node.jobs.series_completion import SeriesCompletion
from node.jobs.workflow import EngineOptions, Workflows
from node.routing.conditions import Equals
from node.routing.rules import Rule
from node.settings.credentials.secret_source import SecretSource
from node.store import Store
from node.store.database import NO_PASSWORD
from tests.support.factories import SERIES, encoded, received, sqlite_url
from tests.support.processes.early_model import EarlyModel
from tests.support.processes.empty_result import empty_result
from tests.support.waiting import until

_ENDED = {JobState.DELIVERED, JobState.REFUSED, JobState.PARKED, JobState.SUPERSEDED}


@dataclass
class FakePacs:
    """A destination that first raises each of `answers`, then accepts every result."""

    name: str
    answers: list[Exception] = field(default_factory=list)
    received: list[ResultFile] = field(default_factory=list)

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        if self.answers:
            raise self.answers.pop(0)
        self.received += instances
        return Receipt(self.name, "taken")


@dataclass
class WorkerParts:
    """A worker that polls on request. An empty `database_url` means SQLite in `folder`."""

    folder: Path
    pacs: FakePacs = field(default_factory=lambda: FakePacs("pacs"))
    on_inference: list[Callable[[Job], None]] = field(default_factory=list)  # one per inference
    installed: str = "1.0"
    first_wait_s: float = 0.05
    give_up_after: timedelta = timedelta(hours=1)
    pacs_give_up_after: timedelta | None = None
    wanted: dict[str, WantedObjects] = field(default_factory=dict)  # by destination
    findings: tuple[Finding, ...] = ()  # of each inference
    hold_on: frozenset[FindingKind] = frozenset()  # of the rule
    acquisitions: AcquisitionChoice | None = None  # of the rule
    requests: list[InferenceRequest] = field(default_factory=list)  # of each inference
    more_rules: tuple[Rule, ...] = ()  # after the rule "liver"
    refusal: str = ""  # of each inference; empty: the series is segmented
    replaces: list[ReplacedResult | None] = field(default_factory=list)  # of each inference
    comparable: dict[str, set[str]] = field(default_factory=dict)  # other models by model
    others: list[OtherResult] = field(default_factory=list)  # of all inferences
    database_url: str = ""
    database_password: SecretSource = NO_PASSWORD
    quiet_seconds: float = 0.001  # of the rule
    clock: Callable[[], float] = time.monotonic  # of the quiet time
    # Creates the commitment requester of "pacs" from the opened store.
    requester: Callable[[Store], CommitmentScu] | None = None
    commitment_timeout: timedelta = timedelta(hours=1)

    def start(self) -> None:
        url = self.database_url or sqlite_url(self.folder)
        self.store = Store.open(url, self.folder, password=self.database_password)
        self.inbox = Inbox(self.store, 0)
        now = self.now
        policy = RetryPolicy(self.first_wait_s, 2 * self.first_wait_s, self.give_up_after)
        when, destinations = Equals("Modality", "CT"), ("pacs", "archive")
        rule = Rule(
            "liver",
            "liver-ct",
            destinations,
            when,
            self.quiet_seconds,
            hold_on=self.hold_on,
            acquisitions=self.acquisitions,
        )
        rules = [rule, *self.more_rules]
        self.early_model = EarlyModel(self.infer)
        self.early_runs = EarlyRuns(self.store, self.early_model, now)
        segment_step = SegmentStep(
            store=self.store,
            infer=self.early_runs.infer,
            installed_version=self.version_of,
            policy=policy,
            now=now,
            jitter=lambda: 0.0,
            wanted=self.wanted,
            rules={each.name: each for each in rules},
            other_models=OtherModels(self.store, self.comparable, now),
            retry_s=0.05,
        )
        requesters = {} if self.requester is None else {"pacs": self.requester(self.store)}
        own_age = self.pacs_give_up_after
        give_up_after = {} if own_age is None else {"pacs": own_age}
        deliver_step = DeliverStep(
            store=self.store,
            destinations={"pacs": self.pacs, "archive": Folder("archive", self.folder / "archive")},
            policy=policy,
            now=now,
            jitter=lambda: 0.0,
            wanted=self.wanted,
            committing={name: str(each.remote.ae_title) for name, each in requesters.items()},
            give_up_after=give_up_after,
        )
        commit_step = CommitStep(self.store, deliver_step, requesters, self.commitment_timeout, now)
        engine_url = self.database_url or f"sqlite:///{self.folder / 'dbos.sqlite'}"
        options = EngineOptions(engine_url, "test", 0.05, database_password=self.database_password)
        self.workflows = Workflows(segment_step, deliver_step, commit_step, options)
        self.workflows.launch()
        self.series_completion = SeriesCompletion(
            self.store,
            rules,
            1.0,
            self.version_of,
            now,
            clock=self.clock,
            began_at=self.early_runs.began_at,
        )
        self.early_start = EarlyStart(
            self.store, self.series_completion, self.early_runs, segment_step, now
        )
        self.job_scheduler = JobScheduler(
            self.store, self.workflows, deliver_step, commit_step, now, self.early_runs.has
        )

    def stop(self) -> None:
        self.workflows.close()
        self.store.close()

    def version_of(self, name: str) -> str:
        """The version that a name selects: its own, else the one that is installed."""
        return name.partition("@")[2] or self.installed

    def now(self) -> datetime:
        return datetime.now(UTC)

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        if other_results is not None:
            with other_results() as others:
                self.others += others
        self.replaces.append(request.replaces)
        self.requests.append(request)
        if self.on_inference:
            self.on_inference.pop(0)(request.job)
        if not self.refusal:
            return replace(empty_result(request), findings=self.findings)
        if not request.with_notice:
            raise Rejected(RejectionReason.TOO_FEW_SLICES, self.refusal)
        notice = empty_result(replace(request, objects=(NOTICE,)))
        return replace(notice, picture_png=b"", measurements={}, refusal=self.refusal)

    def receive(self, number: int = 1) -> None:
        uid = f"{SERIES}.{number}"
        dataset = encoded(sop_instance_uid=uid)
        self.inbox.accept(received(sop_instance_uid=uid, dataset=dataset), self.now())

    def receive_files(self, paths: Sequence[Path]) -> None:
        """Receives the files of a CT series."""
        for path in paths:
            origin = Origin(Channel.C_STORE, "MODALITY1")
            self.inbox.accept(received_from_file(path, origin), self.now())

    def poll(self, series: str = SERIES) -> None:
        self.store.request_start(series, self.now())
        self.series_completion.poll()
        self.job_scheduler.poll()

    def jobs(self, series: str = SERIES) -> tuple[Job, ...]:
        return self.store.jobs_of(series)

    def ended_jobs(self, series: str, count: int) -> tuple[Job, ...]:
        """Waits until the series has `count` jobs and all of them have ended; returns them."""

        def ended() -> tuple[Job, ...]:
            jobs = self.jobs(series)
            return jobs if len(jobs) == count and {j.state for j in jobs} <= _ENDED else ()

        return until(ended, 20, f"{count} jobs to end")

    def job_in(self, state: JobState) -> Job:
        """Waits until the newest job is in `state`; returns it."""
        until(lambda: self.jobs()[-1].state is state, 20, f"the job to be {state}")
        return self.jobs()[-1]

    def ended_job(self) -> Job:
        """Waits until the newest job has ended; returns it."""

        def newest() -> Job | None:
            job = self.jobs()[-1]
            return job if job.state in _ENDED else None

        job = until(newest, 20, "the job to end")
        assert job is not None
        return job


def raising(error: Exception) -> Callable[[Job], None]:
    """An inference callback that raises `error`."""

    def fail(_job: Job) -> None:
        raise error

    return fail
