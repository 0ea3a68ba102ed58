"""The complete node between a sender and a real PACS."""

import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from node.domain.series import SeriesState
from node.processes.role_process import Role
from node.settings import load_settings
from node.store import Store
from tests.support.processes.running_node import RunningNode, small_abdomen
from tests.support.shared_data import ct_files
from tests.support.waiting import until


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    """One Orthanc for all tests; each sends a study of its own."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path_factory.mktemp("orthanc"))
    try:
        pacs.start()
        yield pacs
    finally:
        pacs.kill()


@pytest.fixture(scope="module")
def node(orthanc: OrthancPacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A running node with Orthanc as its PACS, and a folder; it has created all its files."""
    running = RunningNode(tmp_path_factory.mktemp("node"), orthanc, tuple(Role))
    running.configure(quiet_seconds=1, archive=True)
    running.store.close()
    shutil.rmtree(running.folder / "data")
    (running.folder / "tmp").mkdir()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(running.folder / "tmp"))
            running.start()
        settings = load_settings(running.config_file)
        running.store = Store.open(settings.database_url, settings.data_dir)
        yield running
    finally:
        running.close()


def test_a_ct_returns_as_seg_and_a_late_slice_leads_to_a_newer_seg(
    node: RunningNode, tmp_path: Path
) -> None:
    *most, late = small_abdomen(tmp_path / "ct", seed=5)
    header = dcmread(late, stop_before_pixels=True)
    series, study = Uid(header.SeriesInstanceUID), Uid(header.StudyInstanceUID)

    node.send(most)
    first = node.ended_job(series)
    assert first.state is JobState.DELIVERED, first.reason
    first_result = ObjectUids(first.job_id, SEG).sop_instance_uid()
    assert node.results(study) == [first_result]
    assert 500 < first.measurements["Liver"]["volume_ml"] < 3000

    node.send(most)  # the same instances: no new result
    node.send([late])
    second = node.ended_job(series, instances=len(most) + 1)
    assert second.state is JobState.DELIVERED, second.reason
    second_result = ObjectUids(second.job_id, SEG).sop_instance_uid()
    assert sorted(node.results(study)) == sorted([first_result, second_result])
    assert second.replaces is not None
    assert second.replaces.sop_instance_uid == first_result
    assert second.result_path is not None
    assert f"Replaces the result {first_result}" in str(dcmread(second.result_path))
    assert len(node.store.jobs_of(series)) == 2


def test_an_explicit_start_does_not_wait_for_the_quiet_time(
    orthanc: OrthancPacs, tmp_path: Path
) -> None:
    node = RunningNode(tmp_path / "site", orthanc)
    node.configure(quiet_seconds=3600)
    node.start()
    try:
        files = small_abdomen(tmp_path / "ct", seed=6)
        series = Uid(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
        node.send(files)
        assert node.newest_job(series) is None
        assert node.store.request_start(series, datetime.now(UTC))
        assert node.ended_job(series).state is JobState.DELIVERED
    finally:
        node.close()


def test_a_real_series_of_three_slices_is_refused_with_a_reason(node: RunningNode) -> None:
    files = ct_files("dcmqi-3slice")
    series = Uid(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
    node.send(files)
    job = node.ended_job(series)

    assert job.state is JobState.REFUSED
    assert "slices" in job.reason


def test_a_series_of_another_modality_is_ignored(node: RunningNode, tmp_path: Path) -> None:
    (one, *_) = small_abdomen(tmp_path / "ct", seed=7)
    dataset = dcmread(one)
    dataset.Modality = "OT"
    dataset.save_as(one)
    series = Uid(dataset.SeriesInstanceUID)
    node.send([one])

    def ignored() -> bool:
        stored = node.store.get_series(series)
        return stored is not None and stored.state is SeriesState.IGNORED

    until(ignored, 30, "the series to be ignored")
    assert node.newest_job(series) is None


def _mode(path: Path) -> int:
    """The mode of a file; 0 for a journal that the node has removed meanwhile."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0


def test_what_the_node_has_written_is_for_its_user_alone(node: RunningNode, tmp_path: Path) -> None:
    files = small_abdomen(tmp_path / "ct", seed=8)
    node.send(files)
    job = node.ended_job(Uid(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID))
    assert job.state is JobState.DELIVERED, job.reason

    written = [node.folder / "data", *(node.folder / "data").rglob("*")]
    written += (node.folder / "tmp").rglob("*")
    names = {path.name for path in written}
    assert {"segnode.db", "segnode.db-wal", "listener.lock", "instances"} <= names
    assert [path for path in written if _mode(path) & 0o077] == []
    # Other systems read the folder that is a destination.
    delivered = list((node.folder / "archive").rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in delivered} == {0o755, 0o644}
