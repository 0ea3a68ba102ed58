"""The workflow of a job on the real engine and store, with a model and destinations of the test."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dbos import DBOS
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from node.delivery.destination import ResultFile
from node.delivery.folder import Folder
from node.domain.delivery import DeliveryState, Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identity import Uid
from node.domain.job import Job, JobState, Replaced, result_identity
from node.intake.inbox import Inbox
from node.routing.conditions import Equals
from node.routing.rules import Rule
from node.store import Store
from node.watch import JobWatch, SeriesWatch
from node.work.delivering import Delivering, RetryPolicy
from node.work.segmenting import Inferred, Segmenting
from node.workflow import EngineOptions, Workflows
from tests.stored import encoded, received, sqlite_url
from tests.waiting import until

SERIES = Uid("1.2.3")
_SETTLED = {JobState.DELIVERED, JobState.REFUSED, JobState.PARKED, JobState.SUPERSEDED}


@dataclass
class Pacs:
    """A destination that answers what the test has it answer, then takes everything."""

    name: str
    answers: list[Exception] = field(default_factory=list)
    taken: list[ResultFile] = field(default_factory=list)

    def deliver(self, result: ResultFile) -> Receipt:
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(result)
        return Receipt(self.name, "taken")


def inferred(job: Job) -> Inferred:
    """A result of no content."""
    identity = result_identity(job.job_id)
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = identity.sop_instance_uid
    dataset.SeriesInstanceUID = identity.series_instance_uid
    dataset.StudyInstanceUID = job.study_instance_uid
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return Inferred(dataset, b"a picture", {"Liver": {"volume_ml": 1500.0}}, {"segment": 0.1})


@dataclass
class Node:
    """The worker without its processes: watches, engine and store."""

    folder: Path
    pacs: Pacs = field(default_factory=lambda: Pacs("pacs"))
    during: list[Callable[[Job], None]] = field(default_factory=list)  # one for each run
    installed: str = "1.0"
    give_up_after: timedelta = timedelta(hours=1)
    replaces: list[Replaced | None] = field(default_factory=list)

    def start(self) -> None:
        self.store = Store.open(sqlite_url(self.folder), self.folder)
        self.inbox = Inbox(self.store, self.folder)
        now = self.now
        segmenting = Segmenting(
            self.store, self.folder, self.infer, lambda _: self.installed, now, retry_s=0.05
        )
        delivering = Delivering(
            store=self.store,
            destinations={"pacs": self.pacs, "archive": Folder("archive", self.folder / "archive")},
            policy=RetryPolicy(0.05, 0.1, self.give_up_after),
            now=now,
            jitter=lambda: 0.0,
        )
        options = EngineOptions(f"sqlite:///{self.folder / 'dbos.sqlite'}", "test", 0.05)
        self.workflows = Workflows(segmenting, delivering, options)
        self.workflows.launch()
        rule = Rule("liver", "liver-ct", ("pacs", "archive"), Equals("Modality", "CT"), 0.001)
        self.series_watch = SeriesWatch(self.store, [rule], 1.0, lambda _: self.installed, now)
        self.job_watch = JobWatch(self.store, self.workflows, delivering, now)

    def stop(self) -> None:
        self.workflows.close()
        self.store.close()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def infer(self, job: Job, files: Sequence[Path], replaces: Replaced | None) -> Inferred:
        self.replaces.append(replaces)
        if self.during:
            self.during.pop(0)(job)
        return inferred(job)

    def receive(self, number: int = 1) -> None:
        uid = f"{SERIES}.{number}"
        dataset = encoded(sop_instance_uid=uid)
        self.inbox.accept(received(sop_instance_uid=uid, dataset=dataset), self.now())

    def look(self) -> None:
        self.store.request_start(SERIES, self.now())
        self.series_watch.look()
        self.job_watch.look()

    def jobs(self) -> tuple[Job, ...]:
        return self.store.jobs_of(SERIES)

    def settled(self) -> Job:
        """The newest job, once it has come to an end."""

        def newest() -> Job | None:
            job = self.jobs()[-1]
            return job if job.state in _SETTLED else None

        job = until(newest, 20, "the job to settle")
        assert job is not None
        return job


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that runs."""
    made = Node(tmp_path)
    made.start()
    yield made
    made.stop()


def failing(error: Exception) -> Callable[[Job], None]:
    """What raises `error` instead of a result."""

    def fail(_job: Job) -> None:
        raise error

    return fail


def test_a_job_brings_its_result_to_every_destination(node: Node) -> None:
    node.receive()
    node.look()
    job = node.settled()

    assert job.state is JobState.DELIVERED
    assert {"waited", "segment", "deliver"} <= job.timings_s.keys()
    assert job.measurements == {"Liver": {"volume_ml": 1500.0}}
    assert job.result_path is not None
    assert job.picture_path is not None
    assert job.picture_path.read_bytes() == b"a picture"
    assert dcmread(job.result_path).SOPInstanceUID == result_identity(job.job_id).sop_instance_uid
    assert [result.path for result in node.pacs.taken] == [job.result_path]
    assert len(list((node.folder / "archive").rglob("*.dcm"))) == 1


def test_starting_a_job_again_runs_it_once(node: Node) -> None:
    node.receive()
    node.look()
    job = node.settled()
    node.workflows.start_job(job.job_id, 1)
    node.job_watch.look()
    node.job_watch.repair()

    assert len(node.replaces) == 1
    assert len(node.pacs.taken) == 1


def test_a_series_that_is_not_for_the_model_is_refused_in_plain_words(node: Node) -> None:
    node.during.append(failing(Rejected(RejectionReason.TOO_FEW_SLICES, "It has 3 slices.")))
    node.receive()
    node.look()
    job = node.settled()

    assert (job.state, job.reason) == (JobState.REFUSED, "It has 3 slices.")
    assert node.pacs.taken == []


def test_a_defect_is_tried_twice_then_parked_and_a_person_can_retry(node: Node) -> None:
    node.during += [failing(ZeroDivisionError("of the test")) for _ in range(2)]
    node.receive()
    node.look()
    job = node.settled()
    assert job.state is JobState.PARKED
    assert "ZeroDivisionError: of the test" in job.reason
    traces = [e.detail for e in node.store.audit_of(job.job_id) if e.event == "defect"]
    assert len(traces) == 2
    assert "Traceback" in traces[0]

    node.store.retry_job(job.job_id, node.now())
    node.job_watch.look()
    assert node.settled().state is JobState.DELIVERED


def test_a_passing_trouble_is_waited_out(node: Node) -> None:
    node.during += [failing(Transient("the disk is full")) for _ in range(3)]
    node.receive()
    node.look()

    assert node.settled().state is JobState.DELIVERED


def test_a_destination_that_comes_up_later_gets_the_result_once(node: Node) -> None:
    node.pacs.answers += [Transient("it does not answer") for _ in range(3)]
    node.receive()
    node.look()
    job = node.settled()

    assert job.state is JobState.DELIVERED
    assert len(node.pacs.taken) == 1
    attempts = {d.destination: d.attempts for d in node.store.deliveries_of(job.job_id)}
    assert attempts == {"archive": 1, "pacs": 4}


def test_a_destination_that_refuses_parks_the_job_with_its_words(node: Node) -> None:
    node.pacs.answers.append(Rejected(RejectionReason.INVALID_INSTANCE, "SEG is not stored here"))
    node.receive()
    node.look()
    job = node.settled()

    assert job.state is JobState.PARKED
    assert job.reason == "not delivered to pacs: SEG is not stored here"
    assert len(list((node.folder / "archive").rglob("*.dcm"))) == 1

    node.store.retry_job(job.job_id, node.now())
    node.job_watch.look()
    assert node.settled().state is JobState.DELIVERED
    assert len(node.replaces) == 1, "the model ran once; its result was kept"


def test_a_delivery_is_given_up_at_its_age(tmp_path: Path) -> None:
    node = Node(tmp_path, give_up_after=timedelta(seconds=0.3))
    node.start()
    node.pacs.answers += [Transient("it does not answer") for _ in range(1000)]
    node.receive()
    node.look()
    job = node.settled()
    node.stop()

    assert job.state is JobState.PARKED
    assert "given up after" in job.reason
    assert "it does not answer" in job.reason


def test_a_job_superseded_while_the_model_runs_is_not_delivered(node: Node) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        inside.set()
        go_on.wait(20)

    node.during.append(hold)
    node.receive(1)
    node.look()
    assert inside.wait(20)
    node.receive(2)
    node.look()
    go_on.set()
    node.settled()

    first, second = node.jobs()
    assert (first.state, second.state) == (JobState.SUPERSEDED, JobState.DELIVERED)
    assert [r.sop_instance_uid for r in node.pacs.taken] == [
        result_identity(second.job_id).sop_instance_uid
    ]


def test_a_late_slice_gives_a_result_that_names_the_one_it_replaces(node: Node) -> None:
    node.receive(1)
    node.look()
    first = node.settled()
    node.receive(2)
    node.look()
    node.settled()

    assert node.replaces == [
        None,
        Replaced(result_identity(first.job_id).sop_instance_uid, instance_count=1),
    ]


def test_a_job_of_a_model_that_was_upgraded_makes_way_for_the_new_version(node: Node) -> None:
    node.receive()
    node.store.request_start(SERIES, node.now())
    node.series_watch.look()
    node.installed = "1.1"
    node.job_watch.look()
    until(lambda: node.jobs()[0].state is JobState.SUPERSEDED, 20, "the old job to make way")
    node.series_watch.look()
    node.job_watch.look()

    job = node.settled()
    assert (job.model_version, job.state) == ("1.1", JobState.DELIVERED)


def test_a_job_unknown_to_the_engine_is_taken_up_again(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.start()
    node.pacs.answers += [Transient("down") for _ in range(10_000)]
    node.receive()
    node.look()
    until(lambda: node.jobs()[0].state is JobState.DELIVERING, 20, "the delivery to begin")
    node.stop()
    (tmp_path / "dbos.sqlite").unlink()
    node.pacs.answers.clear()
    node.start()
    node.job_watch.repair()
    job = node.settled()
    states = {d.destination: d.state for d in node.store.deliveries_of(job.job_id)}
    node.stop()

    assert job.state is JobState.DELIVERED
    assert states == {"archive": DeliveryState.DELIVERED, "pacs": DeliveryState.DELIVERED}
    assert len(node.pacs.taken) == 1


def test_a_job_whose_run_broke_is_parked_for_a_person(node: Node) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        inside.set()
        go_on.wait(20)

    node.during.append(hold)
    node.receive()
    node.look()
    assert inside.wait(20)
    job = node.jobs()[0]
    DBOS.cancel_workflow(f"run:{job.job_id}:1")
    node.job_watch.repair()
    go_on.set()

    assert node.settled().state is JobState.PARKED
    node.store.retry_job(job.job_id, node.now())
    node.job_watch.look()
    assert node.settled().state is JobState.DELIVERED
