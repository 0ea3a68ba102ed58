"""What a query or retrieval says about an archive that refuses it or fails in the middle."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from node.dicom.query import SeriesQuery, TooManyMatches
from node.dimse import find
from node.dimse.find import FIND_FAILURES, QUERY_MODEL, finding
from node.dimse.retrieve import GET_MODEL, MOVE_MODEL, MoveDestination, get_series, move_series
from node.dimse.scu import Remote
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid, mint_uid
from node.domain.instance import ReceivedInstance
from node.retrieval.sources import MoveToListener, PeerSource, SearchableSource
from node.store import Store
from tests.support.dicom.body import grid
from tests.support.dicom.builders import CtFiles, ct_series
from tests.support.factories import sqlite_url
from tests.support.peers.archive import Archive

US = AeTitle("SEGNODE")
# An archive of pynetdicom that is aborted while it sends an image fails in its own thread.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
DESTINATION = MoveDestination(US, "port 11112")
STUDY_QUERY = SeriesQuery(study_date="20260101")
StartArchive = Callable[[Archive], Remote]


@pytest.fixture
def start() -> Iterator[StartArchive]:
    """Starts an archive and stops it after the test."""
    started: list[Archive] = []

    def start_one(archive: Archive) -> Remote:
        started.append(archive)
        return archive.start()

    yield start_one
    for archive in started:
        archive.stop()


@pytest.fixture(scope="module")
def ct() -> CtFiles:
    return ct_series(seed="refusals", geometry=grid(slices=4, rows=8, columns=8))


def uids(ct: CtFiles) -> tuple[Uid, Uid]:
    """The study and the series."""
    return Uid(ct.datasets[0].StudyInstanceUID), Uid(ct.datasets[0].SeriesInstanceUID)


def peer(remote: Remote) -> SearchableSource:
    return SearchableSource("pacs", partial(finding, remote, US))


@pytest.mark.parametrize("status", FIND_FAILURES)
def test_a_refused_query_states_the_reason(start: StartArchive, ct: CtFiles, status: int) -> None:
    remote = start(Archive(ct.datasets, find_status=status))
    message = rf"refused the query: {FIND_FAILURES[status]} \(status 0x{status:04X}\)"
    with pytest.raises(Transient, match=message):
        peer(remote).search(STUDY_QUERY, 10)


def test_an_archive_without_queries_is_named(start: StartArchive, ct: CtFiles) -> None:
    remote = start(Archive(ct.datasets, models=[GET_MODEL]))
    with pytest.raises(Transient, match="accepts no queries"):
        peer(remote).search(STUDY_QUERY, 10)


def test_a_query_with_too_many_matches_is_cancelled(start: StartArchive, ct: CtFiles) -> None:
    endless = Archive(ct.datasets, matches_until_cancelled=True)
    with pytest.raises(TooManyMatches, match="more than 2 matches"):
        peer(start(endless)).search(STUDY_QUERY, 2)


@pytest.mark.timeout(120)
def test_an_archive_that_never_ends_its_matches_is_disconnected(
    start: StartArchive, ct: CtFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_MAX_AFTER_CANCEL", 5)
    endless = Archive(ct.datasets, matches_until_cancelled=True, ignores_cancel=True)
    with pytest.raises(TooManyMatches, match="more than 2 matches"):
        peer(start(endless)).search(STUDY_QUERY, 2)


def test_keys_that_the_archive_ignores_are_applied_to_its_matches(
    start: StartArchive, ct: CtFiles
) -> None:
    source = peer(start(Archive(ct.datasets[:1])))
    (found,) = source.search(STUDY_QUERY, 10)
    assert (found.description, found.instance_count) == ("two lines", None)
    study, _ = uids(ct)
    assert source.search(SeriesQuery(study_instance_uid=study, modality="MR"), 10) == []
    other = SeriesQuery(study_instance_uid=study, series_instance_uid=mint_uid("other"))
    assert source.search(other, 10) == []


def test_an_unknown_move_destination_is_reported_with_what_to_enter(
    start: StartArchive, ct: CtFiles
) -> None:
    remote = start(Archive(ct.datasets))
    with pytest.raises(Transient, match="does not know the C-MOVE destination SEGNODE") as caught:
        move_series(remote, DESTINATION, *uids(ct))
    assert "0xA801" in str(caught.value)
    assert "enter the AE title SEGNODE there, with the address of this machine and port 11112" in (
        str(caught.value)
    )


@pytest.mark.parametrize(
    ("model", "retrieve", "message"),
    [
        (GET_MODEL, "move", 'accepts no C-MOVE .* retrieve = "get"'),
        (MOVE_MODEL, "get", 'accepts no C-GET .* retrieve = "move"'),
    ],
)
def test_a_method_that_the_archive_does_not_accept_is_named_with_the_other(
    start: StartArchive, ct: CtFiles, model: str, retrieve: str, message: str
) -> None:
    remote = start(Archive(ct.datasets, models=[model, QUERY_MODEL]))
    with pytest.raises(Transient, match=message):
        if retrieve == "move":
            move_series(remote, DESTINATION, *uids(ct))
        else:
            get_series(remote, US, *uids(ct), accept=lambda received: None)


def test_an_archive_that_sends_no_images_by_c_get_is_named(
    start: StartArchive, ct: CtFiles
) -> None:
    remote = start(Archive(ct.datasets, sends_storage=False))
    with pytest.raises(Transient, match="would send no CT images"):
        get_series(remote, US, *uids(ct), accept=lambda received: None)


def test_images_that_the_archive_could_not_send_are_counted(
    start: StartArchive, ct: CtFiles
) -> None:
    capture = ct_series(seed="capture", geometry=grid(slices=1, rows=8, columns=8)).datasets[0]
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    remote = start(Archive([*ct.datasets, capture]))
    accepted: list[ReceivedInstance] = []
    with pytest.raises(Transient, match=r"could not send 1 of 5 images \(status 0xB000\)"):
        get_series(remote, US, *uids(ct), accept=accepted.append)
    assert len(accepted) == 4


def test_a_full_disk_ends_a_c_get_at_once(start: StartArchive, ct: CtFiles) -> None:
    sent: list[int] = []
    remote = start(Archive(ct.datasets * 50, before=sent.append))

    def refuse(received: ReceivedInstance) -> None:
        raise Transient("the disk is full")

    with pytest.raises(Transient, match="the disk is full"):
        get_series(remote, US, *uids(ct), accept=refuse)
    assert len(sent) < 200


def test_an_instance_of_another_series_is_rejected(start: StartArchive, ct: CtFiles) -> None:
    remote = start(Archive(ct.datasets))
    study, _ = uids(ct)
    with pytest.raises(Rejected, match="PACS sent an instance of another series"):
        get_series(remote, US, study, mint_uid("other"), accept=lambda received: None)


def test_a_series_without_images_is_rejected(start: StartArchive, ct: CtFiles) -> None:
    remote = start(Archive(()))
    with pytest.raises(Rejected, match="has no images of series"):
        get_series(remote, US, *uids(ct), accept=lambda received: None)


@pytest.mark.parametrize(("known", "error"), [(True, Transient), (False, Rejected)])
def test_a_general_failure_is_final_only_if_the_archive_does_not_have_the_series(
    start: StartArchive, ct: CtFiles, known: bool, error: type[Exception]
) -> None:
    models = [QUERY_MODEL, GET_MODEL]
    remote = start(Archive(ct.datasets, models, retrieve_status=0xC000))
    finder = remote if known else start(Archive((), models))
    source = PeerSource(finder, US, partial(get_series, remote, US))
    with pytest.raises(error, match="PACS"):
        source(*uids(ct), lambda received: None)


def test_images_that_went_elsewhere_are_noticed(
    start: StartArchive, ct: CtFiles, tmp_path: Path
) -> None:
    elsewhere = start(Archive(()))
    remote = start(Archive(ct.datasets, destination=(elsewhere.host, elsewhere.port)))
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    source = MoveToListener(remote, DESTINATION, store)
    with pytest.raises(Transient, match="sent 4 images to SEGNODE, but 0 arrived here"):
        source(*uids(ct), lambda received: None)
    store.close()


def test_a_rejected_instance_ends_the_retrieval_with_its_reason(
    start: StartArchive, ct: CtFiles
) -> None:
    def refuse(received: ReceivedInstance) -> None:
        raise Rejected(RejectionReason.INVALID_INSTANCE, "it belongs to another series")

    with pytest.raises(Rejected, match="it belongs to another series"):
        get_series(start(Archive(ct.datasets)), US, *uids(ct), accept=refuse)
