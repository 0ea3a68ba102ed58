"""A node that queries and retrieves: settings, store, listener and retriever beside an Orthanc."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pydicom import dcmread

from node.demo.orthanc_pacs import Modality, OrthancPacs
from node.dicom.query import FoundSeries, SeriesQuery
from node.domain.identifiers import AeTitle, Uid
from node.domain.retry_policy import RetryPolicy
from node.intake.inbox import Inbox
from node.intake.retriever import Retriever
from node.retrieval.sources import retrieval_sources, searchable_source
from node.settings import Settings, load_settings
from node.store import Retrieval, Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy
from pacs_listener.scp import Listener
from tests.support.dicom.body import grid
from tests.support.dicom.builders import CtFiles, ct_series
from tests.support.factories import NOON
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.secured_site import orthanc_settings

US = AeTitle("SEGNODE")
METHODS = ("by_move", "by_get", "by_web")
POLICY = RetryPolicy(first_s=1.0, max_s=2.0, give_up_after=timedelta(hours=1))
_CONFIGURATION = """
[listener]
host = "127.0.0.1"
port = {listener_port}

[peers.by_move]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {dicom_port}
retrieve = "move"

[peers.by_get]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {dicom_port}
retrieve = "get"

[sources.by_web]
url = "{url}"
"""


@dataclass
class FetchingNode:
    """A node without worker process; `clock_s` is the clock of its retriever."""

    orthanc: OrthancPacs
    configuration: str
    settings: Settings
    store: Store
    clock_s: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        self.retriever = Retriever(
            sources=retrieval_sources(self.settings, self.store),
            store=self.store,
            inbox=Inbox(self.store, 0),
            now=lambda: NOON,
            policy=POLICY,
            clock=lambda: self.clock_s[0],
        )

    def search(self, source: str, query: SeriesQuery, limit: int = 100) -> list[FoundSeries]:
        """The series that match at a source."""
        return searchable_source(self.settings, source).search(query, limit)

    def request(self, source: str, study: str, series: str) -> int:
        """Requests a retrieval."""
        return self.store.request_retrieval(source, Uid(study), Uid(series), NOON)

    def retrieve(self, source: str, study: str, series: str) -> Retrieval:
        """Requests a retrieval and makes one attempt at it."""
        number = self.request(source, study, series)
        self.retriever.poll(source)
        return self.retrieval(number)

    def retrieval(self, number: int) -> Retrieval:
        """A retrieval in its current state."""
        found = self.store.get_retrieval(number)
        assert found is not None
        return found


@contextmanager
def fetching_node(
    folder: Path, orthanc: OrthancPacs, listener_port: int, *, listens: bool = True
) -> Iterator[FetchingNode]:
    """A node in `folder` whose peers and source are that Orthanc."""
    configuration = _CONFIGURATION.format(
        listener_port=listener_port, dicom_port=orthanc.dicom_port, url=orthanc.dicomweb_url
    )
    file = folder / "segnode.toml"
    file.write_text(f'data_dir = "data"\n{configuration}')
    settings = load_settings(file)
    store = Store.open(settings.database_url, settings.data_dir)
    listener = Listener(
        AssociationPolicy(US, "127.0.0.1", listener_port, 131072, 10, ()),
        Inbox(store, 0),
        CommitmentService(store, (), lambda: NOON),
        lambda: NOON,
    )
    if listens:
        listener.start()
    yield FetchingNode(orthanc, configuration, settings, store)
    listener.stop(0)
    store.close()


def orthanc_options(
    listener_port: int, *, knows_us: bool = True, tls: TlsSite | None = None
) -> dict[str, object]:
    """The options of an Orthanc that answers everybody, and knows the node as destination.

    With `tls`, it takes TLS alone, and sends nothing to the node by C-MOVE.
    """
    allowed = {f"DicomAlwaysAllow{name}": True for name in ("Find", "Get", "Move", "Store")}
    title = US if knows_us else "OTHER"
    return {
        "modalities": {"node": Modality(title, "127.0.0.1", listener_port)},
        "configuration": {"DicomCheckModalityHost": False, **allowed, **orthanc_settings(tls)},
    }


def small(seed: str, *, slices: int = 3) -> CtFiles:
    """A small CT series in a study of its own."""
    return ct_series(seed=seed, geometry=grid(slices=slices, rows=8, columns=8))


def store_in(orthanc: OrthancPacs, series: CtFiles, folder: Path, **attributes: str) -> FoundSeries:
    """Stores a series in Orthanc with these attributes; returns how a query finds it."""
    for dataset in series.datasets:
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    files = series.write(folder)
    for file in files:
        orthanc.upload(file)
    header = dcmread(files[0], stop_before_pixels=True)
    return FoundSeries(
        study_instance_uid=Uid(header.StudyInstanceUID),
        series_instance_uid=Uid(header.SeriesInstanceUID),
        study_date=str(header.StudyDate),
        modality=str(header.Modality),
        description=str(header.SeriesDescription),
        instance_count=len(files),
    )
