"""A PACS that is down, rejects, hangs, resets or is full, then recovers, has each result once.

The PACS takes TLS alone; there is no web process.
"""

import gc
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.sop_class import SecondaryCaptureImageStorage  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from node.delivery.cstore import CStore
from node.demo.free_ports import free_ports
from node.dimse import scu
from node.domain.delivery import Delivery
from node.domain.identifiers import AeTitle
from node.domain.job import JobState
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.worker_parts import FakePacs, WorkerParts
from tests.support.waiting import until

NETWORK_TIMEOUT_S = 1.0


@dataclass
class FaultyPacs:
    """A Storage SCP that shows one of `faults` per association, then works."""

    tls: TlsSite | None
    port: int = field(default_factory=lambda: free_ports(1)[0])
    faults: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    _server: ThreadedAssociationServer | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        entity = AE("PACS")
        entity.add_supported_context(SecondaryCaptureImageStorage)
        self._server = entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            ssl_context=None if self.tls is None else self.tls.pacs_context(),
            evt_handlers=[(evt.EVT_REQUESTED, self._requested), (evt.EVT_C_STORE, self._store)],
        )

    def stop(self) -> None:
        self._over.set()
        if self._server is not None:
            self._server.shutdown()

    def _requested(self, event: Event) -> None:
        fault = self.faults.pop(0) if self.faults else "works"
        self.shown.append(fault)
        event.assoc.fault = fault  # type: ignore[attr-defined] # for `_store`
        if fault == "refuses":
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # local limit exceeded
            event.assoc.kill()

    def _store(self, event: Event) -> int:
        match event.assoc.fault:  # type: ignore[attr-defined]
            case "hangs":
                self._over.wait()
            case "resets":
                transport = event.assoc.dul.socket
                assert transport is not None
                assert transport.socket is not None
                transport.socket.shutdown(socket.SHUT_RDWR)
            case "is full":
                return 0xA700
            case "works":
                self.stored.append(str(cast(C_STORE, event.request).AffectedSOPInstanceUID))
                return 0x0000
        return 0x0110


@pytest.fixture
def pacs(tls: TlsSite | None) -> Iterator[FaultyPacs]:
    faulty = FaultyPacs(tls)
    yield faulty
    faulty.stop()


@pytest.fixture
def worker(
    tmp_path: Path, pacs: FaultyPacs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkerParts]:
    """A worker that delivers to the faulty PACS."""
    monkeypatch.setattr(scu, "_TIMEOUT_SECONDS", NETWORK_TIMEOUT_S)
    secure = None if pacs.tls is None else pacs.tls.of_sender
    remote = scu.Remote(AeTitle("PACS"), "127.0.0.1", pacs.port, secure)

    class ByCStore(FakePacs):
        deliver = CStore("pacs", remote, AeTitle("SEGNODE")).deliver

    parts = WorkerParts(tmp_path, pacs=ByCStore("pacs"))
    parts.start()
    yield parts
    parts.stop()


def test_after_every_fault_the_pacs_has_the_result_once(
    pacs: FaultyPacs, worker: WorkerParts
) -> None:
    pacs.faults += ["refuses", "hangs", "resets", "is full"]
    faults = list(pacs.faults)
    worker.receive()
    worker.poll()
    # The PACS is down at first.
    until(lambda: any(d.attempts > 1 for d in _deliveries(worker)), 60, "two attempts at delivery")
    gc.collect()
    pacs.start()
    until(lambda: worker.jobs()[-1].state is JobState.DELIVERED, 60, "the delivery")

    assert pacs.shown == [*faults, "works"]
    assert len(pacs.stored) == 1
    assert [d.receipt for d in _deliveries(worker) if d.destination == "pacs"] == [
        f"C-STORE to PACS@127.0.0.1:{pacs.port}"
    ]


def _deliveries(worker: WorkerParts) -> tuple[Delivery, ...]:
    jobs = worker.jobs()
    return worker.store.deliveries_of(jobs[-1].job_id) if jobs else ()
