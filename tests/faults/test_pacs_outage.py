"""A PACS that is down, unwilling, dumb or rude, and then well: it has each result once."""

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
from node.demo.orthanc_pacs import free_ports
from node.dimse import scu
from node.domain.delivery import Delivery
from node.domain.identifiers import AeTitle
from node.domain.job import JobState
from tests.support.processes.worker_parts import Pacs, WorkerParts
from tests.support.waiting import until

# pynetdicom leaves it to the garbage collector to close a socket whose peer is not there.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
PATIENCE_S = 1.0


@dataclass
class TroubledPacs:
    """A Storage SCP that has `troubles`, one for each association, and is well afterwards."""

    port: int = field(default_factory=lambda: free_ports(1)[0])
    troubles: list[str] = field(default_factory=list)
    had: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    _server: ThreadedAssociationServer | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        entity = AE("PACS")
        entity.add_supported_context(SecondaryCaptureImageStorage)
        self._server = entity.start_server(
            ("127.0.0.1", self.port),
            block=False,
            evt_handlers=[(evt.EVT_REQUESTED, self._requested), (evt.EVT_C_STORE, self._store)],
        )

    def stop(self) -> None:
        self._over.set()
        if self._server is not None:
            self._server.shutdown()

    def _requested(self, event: Event) -> None:
        trouble = self.troubles.pop(0) if self.troubles else "well"
        self.had.append(trouble)
        event.assoc.trouble = trouble  # type: ignore[attr-defined] # for `_store`
        if trouble == "refuses":
            event.assoc.acse.send_reject(0x02, 0x03, 0x02)  # local limit exceeded
            event.assoc.kill()

    def _store(self, event: Event) -> int:
        match event.assoc.trouble:  # type: ignore[attr-defined]
            case "hangs":
                self._over.wait()
            case "resets":
                transport = event.assoc.dul.socket
                assert transport is not None
                assert transport.socket is not None
                transport.socket.shutdown(socket.SHUT_RDWR)
            case "is full":
                return 0xA700
            case "well":
                self.stored.append(str(cast(C_STORE, event.request).AffectedSOPInstanceUID))
                return 0x0000
        return 0x0110


@pytest.fixture
def pacs() -> Iterator[TroubledPacs]:
    troubled = TroubledPacs()
    yield troubled
    troubled.stop()


@pytest.fixture
def worker(
    tmp_path: Path, pacs: TroubledPacs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkerParts]:
    """A worker whose PACS is that one."""
    monkeypatch.setattr(scu, "_TIMEOUT_SECONDS", PATIENCE_S)
    remote = scu.Remote(AeTitle("PACS"), "127.0.0.1", pacs.port)

    class ByCStore(Pacs):
        deliver = CStore("pacs", remote, AeTitle("SEGNODE")).deliver

    parts = WorkerParts(tmp_path, pacs=ByCStore("pacs"))
    parts.start()
    yield parts
    parts.stop()


def test_after_every_kind_of_trouble_the_pacs_has_the_result_once(
    pacs: TroubledPacs, worker: WorkerParts
) -> None:
    pacs.troubles += ["refuses", "hangs", "resets", "is full"]
    troubles = list(pacs.troubles)
    worker.receive()
    worker.poll()
    # At first it is down.
    until(lambda: any(d.attempts > 1 for d in _deliveries(worker)), 60, "two tries at it")
    gc.collect()
    pacs.start()
    until(lambda: worker.jobs()[-1].state is JobState.DELIVERED, 60, "the delivery")

    assert pacs.had == [*troubles, "well"]
    assert len(pacs.stored) == 1
    assert [d.receipt for d in _deliveries(worker) if d.destination == "pacs"] == [
        f"C-STORE to PACS@127.0.0.1:{pacs.port}"
    ]


def _deliveries(worker: WorkerParts) -> tuple[Delivery, ...]:
    jobs = worker.jobs()
    return worker.store.deliveries_of(jobs[-1].job_id) if jobs else ()
