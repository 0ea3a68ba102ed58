"""A node that performs work items of a UPS-RS server; the test acts for the model."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydicom.dataset import Dataset

from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.domain.instance import ReceivedInstance
from node.domain.job import Job, JobState
from node.domain.result_objects import SEG, StoredObject
from node.domain.retry_policy import RetryPolicy
from node.domain.worklists.work_item import WorkItem, WorkItemState
from node.intake.inbox import Inbox
from node.intake.retriever import Accept, Retriever
from node.jobs.series_completion import SeriesCompletion
from node.settings import Settings, load_settings
from node.store import Store
from node.worklists.factory import Worklist, worklists_from
from tests.support.dicom.work_items import scheduled_work_item, series_input
from tests.support.factories import NOON, encoded, received
from tests.support.servers.ups_server import UpsOriginServer

STUDY, SERIES = "1.2", "1.2.3"
SEG_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
# The first delay is zero, so that the next poll is the next attempt.
POLICY = RetryPolicy(first_s=0.0, max_s=0.0, give_up_after=timedelta(hours=1))
CONFIGURATION = """
data_dir = "data"

[sources.web]
url = "http://pacs.test/dicom-web"

[peers.pacs]
ae_title = "PACS"
host = "pacs.test"
port = 104
retrieve = "get"

[destinations.pacs]
kind = "cstore"
peer = "pacs"

[destinations.web]
kind = "dicomweb"
url = "http://pacs.test/dicom-web"

[worklists.hospital]
url = "{url}"
events_url = "{events_url}"
tasks = [{{ code = "LIVER", scheme = "99HOSP", rule = "liver" }}]
{source}
{options}

[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["pacs", "web"]
only_for_work_items = {only}
when = {{ attribute = "Modality", equals = "CT" }}
"""


@dataclass
class PerformingNode:
    """A node without processes over `images`, the instances of each series at its source.

    `time` is its clock. A series in `unreachable` cannot be retrieved for now.
    """

    settings: Settings
    store: Store
    ups: UpsOriginServer
    images: dict[str, list[ReceivedInstance]] = field(default_factory=dict)
    unreachable: set[str] = field(default_factory=set)
    time: datetime = NOON

    def __post_init__(self) -> None:
        now = lambda: self.time  # noqa: E731 a clock
        self.worklist: Worklist = worklists_from(self.settings, self.store, now, POLICY)["hospital"]
        self.completion = SeriesCompletion(
            self.store, self.settings.rules, 10.0, lambda _: "1.0", now
        )
        inbox = Inbox(self.store, 0)
        sources = {"web": self._retrieve, "pacs": self._retrieve}
        self.retriever = Retriever(sources, self.store, inbox, now, POLICY)

    def restarted(self) -> "PerformingNode":
        """The node after a restart: what only its memory held is lost."""
        return replace(self)

    def _retrieve(self, study: Uid, series: Uid, accept: Accept) -> int:
        if series in self.unreachable:
            raise Transient("the archive does not answer")
        if series not in self.images:
            raise Rejected(RejectionReason.INVALID_INSTANCE, "it does not have this series")
        for instance in self.images[series]:
            accept(instance)
        return len(self.images[series])

    def add_images(
        self, series: str = SERIES, count: int = 2, *, modality: str = "CT"
    ) -> list[str]:
        """Adds a series to the source; returns the UIDs of its instances."""
        uids = [f"{series}.{number}" for number in range(1, count + 1)]
        self.images[series] = [
            received(
                sop_instance_uid=uid,
                series_instance_uid=series,
                dataset=encoded(
                    sop_instance_uid=uid,
                    series_instance_uid=series,
                    attributes={"Modality": modality},
                ),
            )
            for uid in uids
        ]
        return uids

    def schedule(self, *inputs: Dataset, **options: object) -> str:
        """Schedules a work item, by default for SERIES; returns its UID."""
        chosen = inputs or (series_input(STUDY, SERIES),)
        return self.ups.schedule(scheduled_work_item(*chosen, **options))  # type: ignore[arg-type]

    def poll(self, times: int = 4) -> None:
        """Does what the worker does in a few rounds; each takes every work item a step further."""
        for _ in range(times):
            self.worklist.poll_server()
            self.worklist.performer.poll()
            for source in self.retriever.sources:
                self.retriever.poll(source)
            self.completion.poll()

    def claim(self, **options: object) -> str:
        """Schedules a work item for SERIES and polls until its job is queued; returns its UID."""
        if SERIES not in self.images:
            self.add_images()
        uid = self.schedule(**options)
        self.poll()
        assert self.job().state is JobState.QUEUED
        return uid

    def item(self, uid: str) -> WorkItem:
        """The work item as the node stores it."""
        found = self.store.get_work_item("hospital", uid)
        assert found is not None
        return found

    def state(self, uid: str) -> WorkItemState:
        """The state of a work item at the node."""
        return self.item(uid).state

    def job(self, series: str = SERIES) -> Job:
        """The newest job of a series."""
        return self.store.jobs_of(series)[-1]

    def store_result(self, job: Job) -> Job:
        """Completes the segmentation of a queued job; its state becomes DELIVERING."""
        self.store.change_job(job.job_id, JobState.RUNNING, self.time)
        path = self.store.data_dir / "results" / job.job_id / "seg.dcm"
        self.store.files.put(path, [b"a result"])
        self.store.record_objects([StoredObject(job.job_id, SEG, SEG_STORAGE, (path,), 8)])
        self.store.add_deliveries(job.job_id, job.destinations, self.time)
        return self.store.change_job(job.job_id, JobState.DELIVERING, self.time, result_path=path)

    def deliver(self, job: Job, receipts: Mapping[str, str] | None = None) -> Job:
        """Delivers the result of a queued job; `receipts` are by destination."""
        self.store_result(job)
        for name in job.destinations:
            receipt = Receipt(name, (receipts or {}).get(name, "taken"))
            self.store.record_receipt(job.job_id, name, receipt, self.time)
        return self.store.change_job(job.job_id, JobState.DELIVERED, self.time)

    def refuse(self, job: Job, reason: RejectionReason, text: str) -> None:
        """Refuses the series of a queued job."""
        self.store.change_job(job.job_id, JobState.RUNNING, self.time)
        self.store.record_rejection(job.job_id, reason, self.time)
        self.store.change_job(job.job_id, JobState.REFUSED, self.time, reason=text)

    def names(self, *names: str) -> Sequence[str]:
        """The requests with these names that the server received, in order."""
        return [one.name for one in self.ups.received if one.name in names]


@contextmanager
def performing_node(
    folder: Path,
    ups: UpsOriginServer,
    options: str = "",
    *,
    source: str = 'source = "web"',
    only_for_work_items: bool = True,
) -> Iterator[PerformingNode]:
    """A node in `folder` with further `options` of its worklist; `source` is its default."""
    file = folder / "segnode.toml"
    only = str(only_for_work_items).lower()
    file.write_text(
        CONFIGURATION.format(
            url=ups.url, events_url=ups.events_url, options=options, source=source, only=only
        )
    )
    settings = load_settings(file)
    store = Store.open(settings.database_url, settings.data_dir)
    node = PerformingNode(settings, store, ups)
    try:
        yield node
    finally:
        if node.worklist.events is not None:
            node.worklist.events.close()
        store.close()
