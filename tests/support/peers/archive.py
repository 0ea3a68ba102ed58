"""A Query/Retrieve SCP that refuses, fails and hangs as a test wants."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import AllTransferSyntaxes, CTImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from node.demo.free_ports import free_ports
from node.dimse.find import QUERY_MODEL
from node.dimse.retrieve import GET_MODEL, MOVE_MODEL
from node.dimse.scu import Remote
from node.domain.identifiers import AeTitle
from tests.support.peers.secure_port import TlsSite, tls_of

PENDING = 0xFF00


@dataclass
class Archive:
    """An archive with one series, `datasets`; its AE title is PACS.

    `before` is called before each instance is sent, with the number sent so far. `find_status` and
    `retrieve_status` are final statuses of failures. `destination` is the host and port to which it
    sends by C-MOVE, None if it does not know the destination. It takes every instance that is sent
    to it, and forgets it. With `tls`, it takes and opens TLS associations alone.
    """

    datasets: Sequence[Dataset]
    models: Sequence[str] = (QUERY_MODEL, MOVE_MODEL, GET_MODEL)
    before: Callable[[int], None] = lambda sent: None
    find_status: int | None = None
    retrieve_status: int | None = None
    destination: tuple[str, int] | None = None
    sends_storage: bool = True
    matches_until_cancelled: bool = False
    ignores_cancel: bool = False
    requests: int = 0  # for a retrieval
    tls: TlsSite | None = None
    _server: ThreadedAssociationServer | None = field(default=None, repr=False)

    def start(self) -> Remote:
        """Starts it on a free port."""
        entity = AE(AeTitle("PACS"))
        for model in self.models:
            entity.add_supported_context(model)
        if self.sends_storage:
            for sop_class in (CTImageStorage, SecondaryCaptureImageStorage):
                entity.add_supported_context(
                    sop_class, AllTransferSyntaxes, scu_role=True, scp_role=True
                )
        entity.add_requested_context(CTImageStorage)
        (port,) = free_ports(1)
        self._server = entity.start_server(
            ("127.0.0.1", port),
            block=False,
            ssl_context=None if self.tls is None else self.tls.pacs_context(),
            evt_handlers=[
                (evt.EVT_C_FIND, self._find),
                (evt.EVT_C_GET, self._get),
                (evt.EVT_C_MOVE, self._move),
                (evt.EVT_C_STORE, lambda event: 0x0000),
            ],
        )
        return Remote(AeTitle("PACS"), "127.0.0.1", port)

    def stop(self) -> None:
        """Stops it."""
        if self._server is not None:
            self._server.shutdown()

    def _find(self, event: Event) -> Iterator[tuple[int, Dataset | None]]:
        if self.find_status is not None:
            yield self.find_status, None
            return
        for dataset in cycle(self.datasets) if self.matches_until_cancelled else self.datasets:
            if event.is_cancelled and not self.ignores_cancel:
                yield 0xFE00, None
                return
            match = Dataset()
            match.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
            match.StudyInstanceUID = dataset.StudyInstanceUID
            match.SeriesInstanceUID = dataset.SeriesInstanceUID
            match.Modality = dataset.Modality
            match.StudyDescription = "two\nlines"
            yield PENDING, match

    def _get(self, event: Event) -> Iterator[Any]:
        yield from self._sub_operations()

    def _move(self, event: Event) -> Iterator[Any]:
        if self.destination is None:
            yield None, None
        elif self.tls is None:
            yield self.destination
        else:
            yield *self.destination, {"tls_args": tls_of(self.tls.port(self.destination[1]))}
        yield from self._sub_operations()

    def _sub_operations(self) -> Iterator[Any]:
        self.requests += 1
        yield len(self.datasets)
        for sent, dataset in enumerate(self.datasets):
            if self.retrieve_status is not None:
                yield self.retrieve_status, None
                return
            self.before(sent)
            yield PENDING, dataset
