"""Series are fetched from a real DICOMweb server."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs
from node.domain.errors import Rejected, Transient
from node.domain.identifiers import Uid, mint_uid
from node.domain.instance import Channel, ReceivedInstance
from node.domain.retry_policy import RetryPolicy
from node.intake.inbox import Inbox
from node.intake.retriever import Retriever
from node.intake.wado_retrieval import DicomWebSource, retrieve_series
from node.store import Store
from tests.support.dicom.builders import ct_series
from tests.support.factories import NOON, sqlite_url

POLICY = RetryPolicy(first_s=2.0, max_s=300.0, give_up_after=timedelta(hours=1))


@dataclass(frozen=True)
class Uploaded:
    """A series that Orthanc has."""

    study: Uid
    series: Uid
    files: list[Path] = field(repr=False)


@pytest.fixture
def uploaded(orthanc: OrthancPacs, tmp_path: Path) -> Uploaded:
    """A series in Orthanc."""
    files = ct_series(seed="retrieve").write(tmp_path / "ct")
    for file in files:
        orthanc.upload(file)
    header = dcmread(files[0], stop_before_pixels=True)
    return Uploaded(Uid(header.StudyInstanceUID), Uid(header.SeriesInstanceUID), files)


def test_every_instance_is_retrieved_unchanged(orthanc: OrthancPacs, uploaded: Uploaded) -> None:
    got: list[ReceivedInstance] = []
    source = DicomWebSource("orthanc", orthanc.dicomweb_url)
    count = retrieve_series(source, uploaded.study, uploaded.series, got.append)

    sent = {str(dcmread(f).SOPInstanceUID): dcmread(f).PixelData for f in uploaded.files}
    assert count == len(sent)
    assert {str(one.sop_instance_uid) for one in got} == set(sent)
    assert all(sent[one.sop_instance_uid] in one.dataset for one in got)
    assert (got[0].origin.channel, got[0].origin.peer) == (Channel.DICOMWEB, "orthanc")


def test_a_series_missing_on_the_server_is_rejected(
    orthanc: OrthancPacs, uploaded: Uploaded
) -> None:
    source = DicomWebSource("orthanc", orthanc.dicomweb_url)
    with pytest.raises(Rejected, match=r"does not have this series|has no instances"):
        retrieve_series(source, uploaded.study, mint_uid("no", "such"), lambda received: None)


def test_an_unreachable_server_is_a_transient_error() -> None:
    source = DicomWebSource("orthanc", f"http://127.0.0.1:{free_ports(1)[0]}/dicom-web")
    with pytest.raises(Transient, match="does not answer"):
        retrieve_series(source, Uid("1.2"), Uid("1.2.3"), lambda received: None)


def test_a_request_is_completed_once_the_server_is_up(
    orthanc: OrthancPacs, uploaded: Uploaded, tmp_path: Path
) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    clock_s = [0.0]
    retriever = Retriever(
        sources={
            "orthanc": partial(retrieve_series, DicomWebSource("orthanc", orthanc.dicomweb_url))
        },
        store=store,
        inbox=Inbox(store, 0),
        now=lambda: NOON,
        policy=POLICY,
        clock=lambda: clock_s[0],
    )
    request = store.request_retrieval("orthanc", uploaded.study, uploaded.series, NOON)
    orthanc.stop()
    retriever.poll("orthanc")
    assert [one.retrieval_id for one in store.open_retrievals()] == [request]

    orthanc.start()
    retriever.poll("orthanc")  # before the next attempt is due
    assert store.get_series(uploaded.series) is None
    clock_s[0] += 60.0
    retriever.poll("orthanc")

    series = store.get_series(uploaded.series)
    assert series is not None
    assert series.instance_count == len(uploaded.files)
    assert series.start_requested
    assert store.open_retrievals() == []
    store.close()


def test_a_request_to_a_source_that_is_not_configured_ends_with_the_reason(
    tmp_path: Path,
) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    retriever = Retriever({}, store, Inbox(store, 0), lambda: NOON, POLICY)
    number = store.request_retrieval("nowhere", Uid("1.2"), Uid("1.2.3"), NOON)
    retriever.refuse_unknown_sources()

    finished = store.get_retrieval(number)
    assert finished is not None
    assert "no source 'nowhere'" in finished.error
    store.close()
