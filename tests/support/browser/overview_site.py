"""A site with activity and, on request, with problems, as the overview shows them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from node.domain.delivery import Receipt
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState, job_id
from node.domain.monitoring.alert import AlertChannel
from node.domain.monitoring.destination_health import DeliveryOutcome, DeliveryStage
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.series import SeriesState
from node.store.site.workers import MachineStatus
from tests.support.factories import job_of, received
from tests.support.servers.served_node import ServedNode

CONFIGURATION = """
[listener]
ae_title = "LIVERNODE"
port = 11199

[peers.pacs]
ae_title = "PACS"
host = "192.0.2.10"
port = 104

[destinations.pacs]
kind = "cstore"
peer = "pacs"

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "abdomen"
model = "liver-ct"
destinations = ["pacs", "archive"]
when = { attribute = "Modality", equals = "CT" }
"""
GIB = 1 << 30
PACS_ERROR = (
    "PACS@192.0.2.10:104 does not answer: check that it runs, and that its address, port and AE "
    "title are right"
)


def add_series(node: ServedNode, number: int, sender: str, received_at: datetime) -> Uid:
    """Indexes a series of one image without its file."""
    uid = Uid(f"1.2.840.99.{number}")
    instance = received(sop_instance_uid=f"{uid}.1", series_instance_uid=uid, peer=sender)
    assert node.store.add_instance(instance, node.settings.data_dir / f"{uid}.dcm", 1, received_at)
    return uid


def _accept(node: ServedNode, uid: Uid, at: datetime) -> None:
    """Records that a rule matched the series."""
    accepted = SeriesState.ACCEPTED
    assert node.store.record_decision(uid, '{"matches": []}', accepted, at, seen_count=1)


def add_job(node: ServedNode, number: int, sender: str, received_at: datetime) -> Job:
    """Adds a series and its job, which is DELIVERING to both destinations."""
    uid = add_series(node, number, sender, received_at)
    _accept(node, uid, received_at)
    job = replace(
        job_of(uid, job_id=job_id(str(number), "liver-ct", "1.0")),
        destinations=("pacs", "archive"),
        created_at=received_at,
        updated_at=received_at,
    )
    store = node.store
    assert store.add_job(job)
    store.change_job(job.job_id, JobState.RUNNING, received_at + timedelta(seconds=12))
    store.add_deliveries(job.job_id, job.destinations, received_at + timedelta(seconds=40))
    return store.change_job(job.job_id, JobState.DELIVERING, received_at + timedelta(seconds=40))


def deliver(node: ServedNode, job: Job, at: datetime) -> None:
    """Delivers the job to both destinations."""
    for name in job.destinations:
        node.store.record_receipt(job.job_id, name, Receipt(name, "taken"), at)
        node.store.record_answer(name, DeliveryStage.SEND, DeliveryOutcome.DELIVERED, at)
    node.store.change_job(job.job_id, JobState.DELIVERED, at)


def fail_delivery(node: ServedNode, job: Job, destination: str, *, since: datetime) -> None:
    """Records three failed attempts, the first at `since`."""
    for minutes in (0, 1, 2):
        at = since + timedelta(minutes=minutes)
        node.store.record_failed_delivery(
            job.job_id,
            destination,
            at,
            error=PACS_ERROR,
            next_try_at=datetime.now(UTC) + timedelta(seconds=90),
        )
        node.store.record_failure(destination, DeliveryStage.SEND, PACS_ERROR, at)


def run_worker(node: ServedNode) -> None:
    """Adds the entry of a working worker with a GPU."""
    node.store.add_worker("worker", "worker", datetime.now(UTC))
    status = MachineStatus(
        "segnode-1", "NVIDIA H100 (cuda:0)", 128 * GIB, 96 * GIB, 80 * GIB, 6 * GIB
    )
    node.store.record_machine_status("worker", status)


def add_activity(node: ServedNode, count: int = 8) -> None:
    """Adds delivered series of two senders in the last minutes, and a worker."""
    now = datetime.now(UTC)
    for number in range(count):
        sender = "CT_ROOM_1" if number % 2 else "CT_ROOM_2"
        received_at = now - timedelta(minutes=3 * number + 5)
        job = add_job(node, number, sender, received_at)
        deliver(node, job, received_at + timedelta(seconds=55 + 7 * number))
    run_worker(node)


def add_problems(node: ServedNode) -> None:
    """Adds a failing PACS, a stopped job, an old queue, a changed volume and a missing worker."""
    now = datetime.now(UTC)
    for number in range(100, 104):
        job = add_job(node, number, "CT_ROOM_1", now - timedelta(minutes=25))
        fail_delivery(node, job, "pacs", since=now - timedelta(minutes=20))
    stopped = add_job(node, 110, "CT_ROOM_2", now - timedelta(minutes=50))
    reason = "the segmentation failed: ValueError: the mask has no voxels"
    node.store.change_job(stopped.job_id, JobState.PARKED, now, reason=reason)
    uid = add_series(node, 120, "CT_ROOM_2", now - timedelta(hours=2))
    _accept(node, uid, now)
    queued = replace(job_of(uid, job_id=job_id("120", "liver-ct", "1.0")))
    early = now - timedelta(hours=2)
    node.store.add_job(replace(queued, created_at=early, updated_at=early))
    drift = Problem(
        ProblemKind.RESULTS_DRIFTING,
        "liver-ct 1.0, volume of Liver",
        Urgency.NOTICE,
        "With liver-ct 1.0, the median volume of Liver of the last 7 days differs from the 4 weeks "
        "before: 1,240 mL, before 1,530 mL.",
        "Check whether a scanner, a protocol or the rules changed; look at some results.",
    )
    node.store.start_alert(drift, [], now - timedelta(days=1))
    failing = Problem(
        ProblemKind.DESTINATION_FAILING,
        "archive",
        Urgency.WARNING,
        "The destination archive does not take results: the disk is full",
        "Free space there.",
    )
    alert = node.store.start_alert(failing, [AlertChannel.MAIL], now - timedelta(days=2))
    assert alert is not None
    node.store.end_alert(alert.alert_id, now - timedelta(days=2) + timedelta(minutes=7))
