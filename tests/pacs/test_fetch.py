"""Query and retrieve against a real Orthanc: C-FIND, C-MOVE, C-GET, QIDO-RS and WADO-RS."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from node.cli.main import main
from node.demo.orthanc_pacs import Modality, OrthancPacs, free_ports
from node.dicom.query import FoundSeries, SeriesQuery, TooManyMatches
from node.domain.identifiers import AeTitle, Uid, mint_uid
from node.domain.retry_policy import RetryPolicy
from node.domain.series import SeriesState
from node.intake.inbox import Inbox
from node.intake.retriever import Retriever
from node.retrieval.scheduled_query import ScheduledQuery
from node.retrieval.sources import retrieval_sources, searchable_source
from node.settings import Settings, load_settings
from node.store import Retrieval, Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.scp import AssociationPolicy, Listener
from tests.pacs.conftest import StartOrthanc
from tests.support.dicom.body import grid
from tests.support.dicom.builders import CtFiles, ct_series
from tests.support.factories import NOON
from tests.support.servers.served_node import served_node

# pynetdicom leaves a socket without a peer to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
US = AeTitle("SEGNODE")
POLICY = RetryPolicy(first_s=1.0, max_s=2.0, give_up_after=timedelta(hours=1))
METHODS = ("by_move", "by_get", "by_web")
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
class Site:
    """A node without worker process: its settings, store, listener and retriever."""

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


OpenSite = Callable[..., Site]


@pytest.fixture
def open_site(start_orthanc: StartOrthanc, tmp_path: Path) -> Iterator[OpenSite]:
    """Starts an Orthanc that knows the node, and the node's listener."""
    ended: list[Callable[[], object]] = []

    def start(*, knows_us: bool = True, listens: bool = True) -> Site:
        (port,) = free_ports(1)
        known = Modality(US if knows_us else "OTHER", "127.0.0.1", port)
        allowed = {f"DicomAlwaysAllow{name}": True for name in ("Find", "Get", "Move", "Store")}
        orthanc = start_orthanc(
            modalities={"node": known},
            configuration={"DicomCheckModalityHost": False, **allowed},
        )
        configuration = _CONFIGURATION.format(
            listener_port=port, dicom_port=orthanc.dicom_port, url=orthanc.dicomweb_url
        )
        file = tmp_path / "segnode.toml"
        file.write_text(f'data_dir = "data"\n{configuration}')
        settings = load_settings(file)
        store = Store.open(settings.database_url, settings.data_dir)
        ended.append(store.close)
        listener = Listener(
            AssociationPolicy(US, "127.0.0.1", port, 131072, 10, ()),
            Inbox(store, 0),
            CommitmentService(store, (), lambda: NOON),
            lambda: NOON,
        )
        if listens:
            listener.start()
            ended.append(lambda: listener.stop(0))
        return Site(orthanc, configuration, settings, store)

    yield start
    for end in reversed(ended):
        end()


@pytest.fixture
def site(open_site: OpenSite) -> Site:
    return open_site()


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


@pytest.fixture
def stored(site: Site, tmp_path: Path) -> FoundSeries:
    """A series in Orthanc."""
    return store_in(
        site.orthanc,
        small("one"),
        tmp_path / "one",
        PatientID="P-1",
        AccessionNumber="A-1",
        StudyDate="20260110",
    )


@pytest.mark.parametrize("source", METHODS)
def test_a_series_is_found_by_each_key(
    site: Site, stored: FoundSeries, tmp_path: Path, source: str
) -> None:
    other = store_in(
        site.orthanc,
        small("two"),
        tmp_path / "two",
        PatientID="P-2",
        AccessionNumber="A-2",
        StudyDate="20260220",
    )
    both = SeriesQuery(study_date="20260101-20260301")
    assert {one.series_instance_uid for one in site.search(source, both)} == {
        stored.series_instance_uid,
        other.series_instance_uid,
    }
    for query in (
        SeriesQuery(patient_id="P-1"),
        SeriesQuery(accession_number="A-1"),
        SeriesQuery(study_date="20260110"),
        SeriesQuery(study_date="20260101-20260131", modality="CT"),
        SeriesQuery(study_instance_uid=stored.study_instance_uid),
        SeriesQuery(
            study_instance_uid=stored.study_instance_uid,
            series_instance_uid=stored.series_instance_uid,
        ),
    ):
        assert site.search(source, query) == [stored], query
    assert site.search(source, SeriesQuery(study_date="20260101-", modality="MR")) == []
    assert site.search(source, SeriesQuery(patient_id="P-3")) == []


@pytest.mark.parametrize("source", METHODS)
def test_more_matches_than_the_limit_are_an_error_that_says_what_to_do(
    site: Site, stored: FoundSeries, tmp_path: Path, source: str
) -> None:
    for number in range(3):
        store_in(site.orthanc, small(f"more {number}", slices=1), tmp_path / str(number))
    query = SeriesQuery(study_date="19000101-")
    with pytest.raises(TooManyMatches, match="more than 2 matches: narrow the query"):
        site.search(source, query, limit=2)


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("by_move", "c-store ORTHANC"),
        ("by_get", "c-get ORTHANC"),
        ("by_web", "dicomweb by_web"),
    ],
)
def test_a_series_is_retrieved_unchanged_and_names_the_peer(
    site: Site, stored: FoundSeries, source: str, origin: str, tmp_path: Path
) -> None:
    retrieval = site.retrieve(source, stored.study_instance_uid, stored.series_instance_uid)
    assert (retrieval.error, retrieval.finished_at) == ("", NOON)
    series = site.store.get_series(stored.series_instance_uid)
    assert series is not None
    assert (series.instance_count, series.origin) == (stored.instance_count, origin)
    assert series.start_requested
    sent = {dcmread(f).SOPInstanceUID: dcmread(f).PixelData for f in (tmp_path / "one").iterdir()}
    kept = site.store.instances_of(stored.series_instance_uid)
    assert {i.sop_instance_uid: dcmread(i.path).PixelData for i in kept} == sent


@pytest.mark.parametrize("source", METHODS)
def test_a_series_that_the_pacs_does_not_have_ends_the_retrieval(
    site: Site, stored: FoundSeries, source: str
) -> None:
    retrieval = site.retrieve(source, stored.study_instance_uid, mint_uid("no", "such"))
    assert retrieval.finished_at is not None
    assert "has no images" in retrieval.error or "does not have this series" in retrieval.error


@pytest.mark.parametrize("source", METHODS)
def test_a_retrieval_waits_for_a_pacs_that_is_down(
    site: Site, stored: FoundSeries, source: str
) -> None:
    site.orthanc.stop()
    retrieval = site.retrieve(source, stored.study_instance_uid, stored.series_instance_uid)
    assert (retrieval.finished_at, retrieval.attempts) == (None, 1)
    assert "does not answer" in retrieval.error
    assert retrieval.next_try_at is not None
    assert NOON < retrieval.next_try_at <= NOON + timedelta(seconds=1)

    site.orthanc.start()
    site.retriever.poll(source)
    assert site.retrieval(retrieval.retrieval_id).attempts == 1, "it is not due yet"
    site.clock_s[0] += 10.0
    site.retriever.poll(source)
    finished = site.retrieval(retrieval.retrieval_id)
    assert (finished.error, finished.finished_at) == ("", NOON)


def test_a_pacs_that_does_not_know_the_node_as_destination_is_named_with_the_remedy(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = open_site(knows_us=False)
    found = store_in(site.orthanc, small("one"), tmp_path / "one")
    retrieval = site.retrieve("by_move", found.study_instance_uid, found.series_instance_uid)
    assert retrieval.finished_at is None
    port = site.settings.listener.port
    # Orthanc answers C000, a general failure, and not A801.
    assert f"check that it knows SEGNODE and reaches it on port {port}" in retrieval.error


def test_a_pacs_that_cannot_reach_the_listener_is_named_with_the_remedy(
    open_site: OpenSite, tmp_path: Path
) -> None:
    site = open_site(listens=False)
    found = store_in(site.orthanc, small("one"), tmp_path / "one")
    retrieval = site.retrieve("by_move", found.study_instance_uid, found.series_instance_uid)
    assert retrieval.finished_at is None
    port = site.settings.listener.port
    assert f"check that it knows SEGNODE and reaches it on port {port}" in retrieval.error


def scheduled(site: Site, source: str = "by_get", limit: int = 20) -> ScheduledQuery:
    """A query for CT of the last 30 days."""
    return ScheduledQuery(
        name="new-ct",
        source=searchable_source(site.settings, source),
        modality="CT",
        lookback_days=30,
        max_open_retrievals=limit,
        store=site.store,
        now=lambda: NOON,
    )


TODAY = f"{NOON.astimezone():%Y%m%d}"


def open_series(site: Site) -> list[Uid]:
    """The series of the open retrievals."""
    return [one.series_instance_uid for one in site.store.open_retrievals()]


@pytest.mark.parametrize("source", METHODS)
def test_a_scheduled_query_requests_a_new_series_once_it_has_stopped_to_grow(
    site: Site, tmp_path: Path, source: str
) -> None:
    found = store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    store_in(site.orthanc, small("old"), tmp_path / "old", StudyDate="20200101")
    store_in(site.orthanc, small("mr"), tmp_path / "mr", StudyDate=TODAY, Modality="MR")
    query = scheduled(site, source)
    query.run()
    assert open_series(site) == [], "the series may still grow"
    query.run()
    assert open_series(site) == [found.series_instance_uid]
    query.run()
    assert open_series(site) == [found.series_instance_uid]
    site.retriever.poll(source)
    series = site.store.get_series(found.series_instance_uid)
    assert series is not None
    assert series.instance_count == found.instance_count


def test_a_decided_series_is_not_requested_again_by_a_restarted_worker(
    site: Site, tmp_path: Path
) -> None:
    store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    for _ in range(2):
        query = scheduled(site)
        query.run()
        query.run()
    (retrieval,) = site.store.list_retrievals()
    site.store.finish_retrieval(retrieval.retrieval_id, NOON, error="given up")
    for _ in range(2):
        query = scheduled(site)
        query.run()
        query.run()
    assert len(site.store.list_retrievals()) == 1


def test_a_series_that_the_node_has_is_not_requested(site: Site, tmp_path: Path) -> None:
    found = store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    site.retrieve("by_web", found.study_instance_uid, found.series_instance_uid)
    query = scheduled(site)
    query.run()
    query.run()
    assert open_series(site) == []


def test_a_series_with_more_images_than_before_is_requested_again(
    site: Site, tmp_path: Path
) -> None:
    whole = small("growing", slices=4)
    found = store_in(site.orthanc, CtFiles(whole.datasets[:3]), tmp_path / "3", StudyDate=TODAY)
    query = scheduled(site)
    query.run()
    query.run()
    site.retriever.poll("by_get")
    site.store.record_decision(
        found.series_instance_uid, "{}", SeriesState.IGNORED, NOON, seen_count=3
    )
    store_in(site.orthanc, CtFiles(whole.datasets[3:]), tmp_path / "1", StudyDate=TODAY)
    query.run()
    assert open_series(site) == [], "the series may still grow"
    query.run()
    assert open_series(site) == [found.series_instance_uid]
    site.retriever.poll("by_get")
    series = site.store.get_series(found.series_instance_uid)
    assert series is not None
    assert series.instance_count == 4


def test_a_scheduled_query_requests_no_more_series_than_its_limit(
    site: Site, tmp_path: Path
) -> None:
    for number in range(3):
        store_in(
            site.orthanc, small(f"{number}", slices=1), tmp_path / f"{number}", StudyDate=TODAY
        )
    query = scheduled(site, limit=2)
    query.run()
    query.run()
    assert len(open_series(site)) == 2
    site.retriever.poll("by_get")
    query.run()
    assert len(open_series(site)) == 1
    assert len(site.store.list_retrievals()) == 3


def test_two_workers_that_query_at_once_request_a_series_once(site: Site, tmp_path: Path) -> None:
    store_in(site.orthanc, small("new"), tmp_path / "new", StudyDate=TODAY)
    first, second = scheduled(site), scheduled(site)
    for query in (first, second, first, second):
        query.run()
    assert len(site.store.list_retrievals()) == 1


def run_command(monkeypatch: pytest.MonkeyPatch, site: Site, *arguments: str) -> int:
    """Runs `segnode fetch`; returns the exit status."""
    command = ["segnode", "fetch", *arguments, "--config", str(site.settings.file)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as exited:
        main()
    return exited.value.code if isinstance(exited.value.code, int) else 0


def test_the_command_lists_the_matches_and_requests_them(
    site: Site,
    stored: FoundSeries,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command(monkeypatch, site, "by_move", "--accession", "A-1", "--dry-run") == 0
    listed = capsys.readouterr().out
    for text in ("20260110", "CT", "3 images", stored.series_instance_uid, "none is requested"):
        assert text in listed
    assert "PHANTOM" not in listed
    assert "P-1" not in listed
    assert open_series(site) == []

    assert run_command(monkeypatch, site, "by_move", "--accession", "A-1") == 0
    assert "Requested 1 series from by_move: retrieval 1" in capsys.readouterr().out
    assert run_command(monkeypatch, site, "--state") == 0
    assert "waiting, or in progress" in capsys.readouterr().out
    site.retriever.poll("by_move")
    assert run_command(monkeypatch, site, "--state") == 0
    assert "by_move, retrieved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("by_mov", "--patient-id", "1"), "no source 'by_mov'; it has: by_web, by_move, by_get"),
        (("by_move",), "would match every study"),
        (("by_move", "--series", "1.2", "--study-date", "20260101"), "UID of its study"),
        (("by_move", "--study-date", "1 May"), "is no study date"),
        ((), "name a peer or source"),
    ],
)
def test_a_wrong_command_says_what_to_do(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert run_command(monkeypatch, site, *arguments) != 0
    error = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in error


def test_a_rest_request_finds_series_and_requests_them(
    site: Site, stored: FoundSeries, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    with served_node(folder, site.configuration) as node:
        url = f"{node.url}/api/fetch"
        body = {"source": "by_get", "patient_id": "P-1"}
        answer = httpx.post(url, json={**body, "dry_run": True})
        assert answer.status_code == 202
        (series,) = answer.json()["series"]
        assert series["series_instance_uid"] == stored.series_instance_uid
        assert series["retrieval"] is None
        (series,) = httpx.post(url, json=body).json()["series"]
        state = httpx.get(f"{node.url}/api/retrievals/{series['retrieval']}").json()
        assert (state["source"], state["finished_at"]) == ("by_get", None)
        assert httpx.get(f"{node.url}/api/retrievals").json() == [state]


def test_a_rest_request_that_fails_says_why(
    site: Site, stored: FoundSeries, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    with served_node(folder, site.configuration) as node:
        url = f"{node.url}/api/fetch"
        answer = httpx.post(url, json={"source": "by_get"})
        assert (answer.status_code, "every study" in answer.text) == (422, True)
        answer = httpx.post(url, json={"source": "elsewhere", "patient_id": "P-1"})
        assert "it has: by_web, by_move, by_get" in answer.json()["message"]
        site.orthanc.stop()
        answer = httpx.post(url, json={"source": "by_get", "patient_id": "P-1"})
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["message"]
        assert node.store.list_retrievals() == []
