"""A result counts as delivered once its destination has committed to it (PS3.4 J)."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)
from pynetdicom.transport import ThreadedAssociationServer

from node.commitment.scu import CommitmentReports, CommitmentScu
from node.delivery.cstore import CStore
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import Modality
from node.dimse.scu import Remote
from node.domain.delivery import Delivery, DeliveryState
from node.domain.identifiers import AeTitle
from node.domain.job import JobState
from node.intake.inbox import Inbox
from node.store import Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.scp import Listener
from tests.pacs.conftest import StartOrthanc
from tests.support.factories import sqlite_url
from tests.support.processes.worker_parts import FakePacs, WorkerParts
from tests.support.waiting import until

US = AeTitle("SEGNODE")
PACS = AeTitle("PACS")
NO_SUCH_INSTANCE = 0x0112


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class CommittingPacs:
    """A Storage and Storage Commitment SCP that answers each request by its next behaviour.

    "same" and "new" are the association on which it reports commitment, "fails" reports a failure,
    "stranger" reports under another AE title, "silent" never reports, "refuses" fails the N-ACTION.
    """

    reports_to: int
    behaviours: list[str] = field(default_factory=list)
    title: AeTitle = PACS
    stored: list[str] = field(default_factory=list)
    offers_commitment: bool = True
    answers: list[int] = field(default_factory=list)  # to its reports
    _server: ThreadedAssociationServer | None = None

    def start(self) -> Remote:
        entity = AE(self.title)
        entity.add_supported_context(SecondaryCaptureImageStorage)
        if self.offers_commitment:
            entity.add_supported_context(StorageCommitmentPushModel)
        (port,) = free_ports(1)
        self._server = entity.start_server(
            ("127.0.0.1", port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._handle_n_action),
            ],
        )
        return Remote(self.title, "127.0.0.1", port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: Event) -> int:
        self.stored.append(str(cast(C_STORE, event.request).AffectedSOPInstanceUID))
        return 0x0000

    def _handle_n_action(self, event: Event) -> tuple[int, Dataset | None]:
        behaviour = self.behaviours.pop(0) if self.behaviours else "new"
        request = event.action_information
        match behaviour:
            case "refuses":
                return 0x0213, None
            case "silent":
                pass
            case "same":
                # After the response to this request.
                arguments = (event.assoc, request, 1)
                threading.Timer(0.2, self._report, arguments).start()
            case "stranger":
                self._call(AeTitle("STRANGER"), request, 1)
            case "fails":
                self._call(self.title, request, 2)
            case _:
                self._call(self.title, request, 1)
        return 0x0000, None

    def _call(self, title: AeTitle, request: Dataset, event_type: int) -> None:
        def call() -> None:
            entity = AE(title)
            entity.add_requested_context(StorageCommitmentPushModel)
            role = build_role(StorageCommitmentPushModel, scp_role=True)
            association = entity.associate(
                "127.0.0.1", self.reports_to, ae_title=US, ext_neg=[role]
            )
            self._report(association, request, event_type)
            association.release()

        threading.Thread(target=call, daemon=True).start()

    def _report(self, association: object, request: Dataset, event_type: int) -> None:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        items = Sequence(request.ReferencedSOPSequence)
        if event_type == 1:
            report.ReferencedSOPSequence = items
        else:
            for item in items:
                item.FailureReason = NO_SUCH_INSTANCE
            report.FailedSOPSequence = items
        status, _ = association.send_n_event_report(  # type: ignore[attr-defined]
            report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        self.answers.append(status.get("Status", -1))


@dataclass
class Site:
    """A worker that delivers to a PACS and requests commitment, and its listener."""

    worker: WorkerParts
    port: int

    def delivery(self) -> Delivery:
        """The delivery to the PACS."""
        job = self.worker.jobs()[-1]
        found = self.worker.store.get_delivery(job.job_id, "pacs")
        assert found is not None
        return found

    def settled_delivery(self) -> Delivery:
        """The delivery, once it has ended."""

        def settled() -> Delivery | None:
            self.worker.job_scheduler.settle_commitments()
            if self.worker.jobs()[-1].state not in {JobState.DELIVERED, JobState.PARKED}:
                return None
            return self.delivery()

        found = until(settled, 30, "the delivery to settle")
        assert found is not None
        return found


OpenSite = Callable[..., Site]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[int]:
    """The port of a listener that knows the PACS, over the worker's store."""
    (port,) = free_ports(1)
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    titles = (PACS, AeTitle("ORTHANC"), AeTitle("STRANGER"))
    listener = Listener(
        AssociationPolicy(US, "127.0.0.1", port, 16384, 10, titles),
        Inbox(store, 0),
        CommitmentService(store, titles, now),
        now,
    )
    listener.start()
    yield port
    listener.stop(0)
    store.close()


@pytest.fixture
def open_site(tmp_path: Path, listening: int) -> Iterator[OpenSite]:
    """Starts a worker that delivers to a PACS."""
    made: list[WorkerParts] = []

    def open_with(remote: Remote, longest: timedelta = timedelta(hours=1)) -> Site:
        class ByCStore(FakePacs):
            deliver = CStore("pacs", remote, US).deliver

        worker = WorkerParts(
            tmp_path,
            pacs=ByCStore("pacs"),
            requester=lambda store: CommitmentScu(remote, US, CommitmentReports(store, now)),
            commitment_timeout=longest,
        )
        worker.start()
        made.append(worker)
        worker.receive()
        worker.poll()
        return Site(worker, listening)

    yield open_with
    for worker in made:
        worker.stop()


@pytest.fixture
def pacs(listening: int) -> Iterator[CommittingPacs]:
    made = CommittingPacs(listening)
    yield made
    made.stop()


def test_orthanc_commits_to_a_result(
    open_site: OpenSite, start_orthanc: StartOrthanc, listening: int
) -> None:
    orthanc = start_orthanc(modalities={"segnode": Modality(US, "127.0.0.1", listening)})
    site = open_site(Remote(AeTitle(orthanc.ae_title), "127.0.0.1", orthanc.dicom_port))
    delivery = site.settled_delivery()

    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.receipt.endswith(", storage committed")
    assert delivery.attempts == 1


@pytest.mark.parametrize("behaviour", ["same", "new"])
def test_a_report_is_accepted_on_either_association(
    open_site: OpenSite, pacs: CommittingPacs, behaviour: str
) -> None:
    pacs.behaviours = [behaviour]
    delivery = open_site(pacs.start()).settled_delivery()

    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.receipt.endswith(", storage committed")
    assert len(pacs.stored) == 1
    until(lambda: pacs.answers == [0x0000], 10, "our answer to the report")


@pytest.mark.parametrize("behaviour", ["fails", "refuses"])
def test_a_result_that_is_not_committed_is_sent_again(
    open_site: OpenSite, pacs: CommittingPacs, behaviour: str
) -> None:
    pacs.behaviours = [behaviour, behaviour, "new"]
    delivery = open_site(pacs.start()).settled_delivery()

    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.attempts == 3
    assert len(pacs.stored) == 3
    assert len(set(pacs.stored)) == 1


def test_a_result_without_a_report_in_time_is_sent_again(
    open_site: OpenSite, pacs: CommittingPacs
) -> None:
    pacs.behaviours = ["silent", "new"]
    delivery = open_site(pacs.start(), timedelta(seconds=2)).settled_delivery()

    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.attempts == 2


def test_a_report_of_another_ae_is_refused(open_site: OpenSite, pacs: CommittingPacs) -> None:
    pacs.behaviours = ["stranger"]
    site = open_site(pacs.start())
    until(lambda: pacs.answers, 10, "our answer to the report")
    site.worker.job_scheduler.settle_commitments()

    assert pacs.answers == [0x0115]
    assert site.delivery().state is DeliveryState.COMMITTING


def test_a_pacs_without_storage_commitment_parks_the_delivery_with_advice(
    open_site: OpenSite, pacs: CommittingPacs
) -> None:
    pacs.offers_commitment = False
    delivery = open_site(pacs.start()).settled_delivery()

    assert delivery.state is DeliveryState.PARKED
    assert "offers no storage commitment: leave out `commitment`" in delivery.last_error
