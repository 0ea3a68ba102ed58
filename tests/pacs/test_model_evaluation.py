"""A real node runs a candidate beside its model and compares what a person stored by dcmsend."""

import gzip
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from typer.testing import CliRunner

from models.training.config_file import load_config
from models.training.loop import RunOptions, train
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct.reader import CtSeries, read_series
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.evaluation.feedback import Feedback, FeedbackState
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.processes.role_process import Role
from tests.support.dicom.labelled_cases import write_config
from tests.support.dicom.persons_seg import persons_seg
from tests.support.peers.dcmsend import dcmsend
from tests.support.processes.running_node import RunningNode
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until
from tests.support.whole_command_line import app

_WAIT_S = 240.0
_ACTIVE, _CANDIDATE = f"{TINY}@1.0.0", f"{TINY}@2.0.0"


@dataclass(frozen=True)
class Site:
    """A running node whose rule names a candidate, the CT that it segmented, and its result."""

    node: RunningNode
    job: Job
    source: CtSeries
    result: NDArray[np.bool_]  # the organ as the PACS has it, (slice, row, column)


def two_versions(folder: Path) -> Path:
    """Returns a catalogue with two versions of the tiny model, with equal weights."""
    catalogue = tiny_catalogue(folder)
    shutil.copytree(catalogue / TINY, catalogue / f"{TINY}-2")
    manifest = catalogue / f"{TINY}-2" / "model.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('"1.0.0"', '"2.0.0"'), "utf-8")
    return catalogue


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("evaluation")
    with OrthancPacs(folder / "orthanc") as orthanc:
        node = RunningNode(folder / "node", orthanc, (Role.LISTENER, Role.WORKER, Role.WEB))
        node.configure(
            quiet_seconds=0.5,
            model=_ACTIVE,
            catalogue=two_versions(folder / "model"),
            rule=f'shadow = "{_CANDIDATE}"',
        )
        try:
            node.start()
            files = write_ct_series(tiny_scan(), folder / "ct", CtDescription(seed="evaluation"))
            assert dcmsend(files, node.dicom_port).acknowledged
            source = read_series(files)
            job = delivered_job(node, Uid(source.sources[0].SeriesInstanceUID))
            yield Site(node, job, source, result_in_pacs(node, source))
        finally:
            node.kill()


def delivered_job(node: RunningNode, series_uid: Uid) -> Job:
    def found() -> Job | None:
        jobs = node.store.jobs_of(series_uid)
        return jobs[0] if jobs and jobs[0].state is JobState.DELIVERED else None

    job = until(found, _WAIT_S, "the delivery")
    assert job is not None
    return job


def result_in_pacs(node: RunningNode, source: CtSeries) -> NDArray[np.bool_]:
    (instance,) = node.orthanc.post(
        "/tools/find", {"Level": "Instance", "Query": {"Modality": "SEG"}}
    )
    content = node.orthanc.file_of_instance(instance)
    segmentation = hd.seg.segread(io.BytesIO(content))
    placed = segmentation.get_volume(combine_segments=True, relabel=False)
    return np.asarray(placed.match_geometry(source.volume.get_geometry()).array > 0)


def compared_run(node: RunningNode) -> ShadowRun:
    def found() -> ShadowRun | None:
        return next(iter(node.store.shadow_runs(ShadowState.COMPARED)), None)

    run = until(found, _WAIT_S, "the shadow run")
    assert run is not None
    return run


def compared_feedback(node: RunningNode, sop_instance_uid: str) -> Feedback:
    def found() -> Feedback | None:
        compared = node.store.feedback(FeedbackState.COMPARED)
        return next((f for f in compared if f.sop_instance_uid == sop_instance_uid), None)

    received = until(found, _WAIT_S, "the comparison")
    assert received is not None
    return received


def test_a_candidate_runs_beside_the_active_version_and_only_that_one_is_delivered(
    site: Site,
) -> None:
    run = compared_run(site.node)
    assert (run.active, run.candidate) == (_ACTIVE, _CANDIDATE)
    assert [organ.dice for organ in run.organs] == [pytest.approx(1.0)]
    assert site.node.all_results() == [site.job.result_uids.sop_instance_uid()]
    url = f"http://127.0.0.1:{site.node.web_port}"
    studies = f"{url}/dicom-web/studies/{site.job.study_instance_uid}/series"
    published = [each["0020000E"]["Value"][0] for each in httpx.get(studies).json()]
    assert set(published) == {
        site.job.series_instance_uid,
        site.job.result_uids.series_instance_uid,
    }


def test_what_a_person_stores_is_compared_exported_and_read_by_a_training(
    site: Site, tmp_path: Path
) -> None:
    corrected = site.result.copy()
    corrected[np.flatnonzero(corrected.any(axis=(1, 2)))[:2]] = False
    segmentation = persons_seg(site.source, corrected, "dcmsend")
    path = tmp_path / "corrected.dcm"
    segmentation.save_as(path, enforce_file_format=True)
    assert dcmsend([path], site.node.dicom_port).acknowledged
    received = compared_feedback(site.node, segmentation.SOPInstanceUID)
    (organ,) = received.comparisons[0].organs
    both = (corrected & site.result).sum()
    assert organ.dice == pytest.approx(2 * both / (corrected.sum() + site.result.sum()))

    config, folder = str(site.node.config_file), tmp_path / "export"
    exported = CliRunner().invoke(app, ["feedback", "export", str(folder), "-c", config])
    assert exported.exit_code == 0, exported.output
    assert 'layout = "nnunet"' in exported.output
    for file in folder.rglob("*.nii.gz"):
        assert dcmread(path).PatientID.encode() not in gzip.decompress(file.read_bytes())
    text = write_config(tmp_path / "train.toml", steps=2).read_text("utf-8")
    cases = text.replace('folder = "cases"', f'folder = "{folder / "liver"}"\nlayout = "nnunet"')
    (tmp_path / "train.toml").write_text(
        cases.replace("validation = 0.34", "validation = 0.0").replace(
            "[validation]\nevery = 4\npatch = [16, 0, 0]\n", ""
        ),
        "utf-8",
    )
    trained = train(
        load_config(tmp_path / "train.toml"), RunOptions(tmp_path, tmp_path / "run", "cpu")
    )
    assert trained.steps == 2
