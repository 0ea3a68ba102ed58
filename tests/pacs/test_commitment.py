"""A real Orthanc requests commitment for what it has sent, and gets the report."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.commitment.scp_reports import CommitmentReporter
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import Modality, OrthancPacs
from node.dimse.scu import Remote
from node.domain.identifiers import AeTitle, Uid
from node.domain.retry_policy import RetryPolicy
from node.intake.inbox import Inbox
from node.store import Store
from node.store.commitment.received import ReferencedInstance
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.scp import Listener
from tests.pacs.conftest import StartOrthanc
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.factories import CT_IMAGE, sqlite_url
from tests.support.waiting import until

HOUR = timedelta(hours=1)
TITLE = AeTitle("SEGNODE")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Site:
    """A listener and its reports, with an Orthanc as the modality."""

    store: Store
    orthanc: OrthancPacs
    instances: tuple[str, ...]  # by Orthanc's identifiers

    def reporter(self, **changes: Any) -> CommitmentReporter:
        """The reporter that the worker polls."""
        orthanc = Remote(AeTitle(self.orthanc.ae_title), "127.0.0.1", self.orthanc.dicom_port)
        options: dict[str, Any] = {
            "peers": {self.orthanc.ae_title: orthanc},
            "policy": RetryPolicy(0.01, 0.02, timedelta(hours=1)),
            "now": now,
        }
        return CommitmentReporter(store=self.store, calling=TITLE, **options | changes)

    def request(self, **body: Any) -> str:
        """Makes Orthanc request commitment; returns its identifier of the transaction."""
        created = self.orthanc.post("/modalities/segnode/storage-commitment", body)
        return str(created["ID"])

    def status(self, transaction: str) -> dict[str, Any]:
        """The state of a transaction in Orthanc."""
        known: dict[str, Any] = self.orthanc.get(f"/storage-commitment/{transaction}")
        return known


@pytest.fixture
def site(tmp_path: Path, start_orthanc: StartOrthanc) -> Iterator[Site]:
    (port,) = free_ports(1)
    orthanc = start_orthanc(modalities={"segnode": Modality(TITLE, "127.0.0.1", port)})
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    titles = (AeTitle(orthanc.ae_title),)
    listener = Listener(
        AssociationPolicy(TITLE, "127.0.0.1", port, 16384, 10, titles),
        Inbox(store, 0),
        CommitmentService(store, titles, now),
        now,
    )
    listener.start()
    files = ct_series(geometry=grid(slices=3, rows=8, columns=8)).write(tmp_path / "ct")
    for file in files:
        orthanc.upload(file)
    stored = tuple(orthanc.post("/tools/find", {"Level": "Instance", "Query": {}}))
    try:
        yield Site(store, orthanc, stored)
    finally:
        listener.stop(0)
        store.close()


def test_orthanc_gets_a_report_that_all_its_instances_are_committed(site: Site) -> None:
    site.orthanc.post("/modalities/segnode/store", list(site.instances))
    transaction = site.request(Resources=list(site.instances))
    assert site.status(transaction)["Status"] == "Pending"
    site.reporter().poll()
    until(lambda: site.status(transaction)["Status"] != "Pending", 20, "the report")
    status = site.status(transaction)
    assert status["Status"] == "Success"
    assert len(status["Success"]) == len(site.instances)
    assert site.store.due_commitments(now(), HOUR) == []


def test_missing_and_damaged_instances_are_reported_as_failed(site: Site) -> None:
    kept, damaged, never_sent = site.instances
    site.orthanc.post("/modalities/segnode/store", [kept, damaged])
    uid = site.orthanc.get(f"/instances/{damaged}")["MainDicomTags"]["SOPInstanceUID"]
    found = site.store.find_instance(uid)
    assert found is not None
    found.instance.path.write_bytes(b"overwritten by a failing disk")
    transaction = site.request(Resources=[kept, damaged, never_sent])
    site.reporter().poll()
    until(lambda: site.status(transaction)["Status"] != "Pending", 20, "the report")
    status = site.status(transaction)
    assert status["Status"] == "Failure"
    assert len(status["Success"]) == 1
    reasons = {one["SOPInstanceUID"]: one["FailureReason"] for one in status["Failures"]}
    assert sorted(reasons.values()) == [0x0110, 0x0112]
    assert reasons[uid] == 0x0110


def test_a_report_is_repeated_until_the_sender_is_reachable(site: Site) -> None:
    site.orthanc.post("/modalities/segnode/store", list(site.instances))
    transaction = site.request(Resources=list(site.instances))
    nobody = Remote(AeTitle(site.orthanc.ae_title), "127.0.0.1", free_ports(1)[0])
    site.reporter(peers={site.orthanc.ae_title: nobody}).poll()
    gc.collect()
    until(lambda: site.store.due_commitments(now(), HOUR), 5, "the next attempt")
    (waiting,) = site.store.due_commitments(now(), HOUR)
    assert waiting.attempts == 1
    site.reporter().poll()
    until(lambda: site.status(transaction)["Status"] == "Success", 20, "the report")


def test_a_report_that_is_never_accepted_is_given_up(site: Site) -> None:
    transaction = Uid("1.2.3.4")
    reference = ReferencedInstance(Uid(CT_IMAGE), Uid("1.2.3"))
    site.store.request_commitment(transaction, "GONE", [reference], now() - timedelta(hours=2))
    site.reporter().poll()
    outcome = site.store.commitment_outcome(transaction)
    assert outcome is not None
    assert outcome.startswith("given up: no peer has the AE title")
    assert site.store.due_commitments(now() + timedelta(days=1), HOUR) == []
