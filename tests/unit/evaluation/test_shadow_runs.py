"""Shadow runs: a candidate runs beside the active model, and nothing of it leaves the node."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from node.dicom.ct.reader import read_series
from node.domain.evaluation.shadow_run import ShadowState
from node.domain.job import JobState
from tests.support.dicom.body import THRESHOLD_HU
from tests.support.dicom.builders import ct_series
from tests.support.processes.evaluating_worker import (
    CANDIDATE,
    FAILING,
    REFUSING,
    SHIFTED_ROWS,
    EvaluatingWorker,
)

StartWorker = Callable[..., EvaluatingWorker]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    """Starts a worker whose rule names a candidate."""
    with ExitStack() as stack:

        def start(shadow: str | None = CANDIDATE) -> EvaluatingWorker:
            worker = EvaluatingWorker(tmp_path / "site", shadow=shadow)
            worker.start()
            stack.callback(worker.stop)
            return worker

        yield start


def expected_dice(folder: Path) -> float:
    """The Dice coefficient of the liver and its shifted copy."""
    liver = read_series(ct_series().write(folder)).volume.array > THRESHOLD_HU
    shifted = np.roll(liver, SHIFTED_ROWS, axis=1)
    return float(2 * (liver & shifted).sum() / (liver.sum() + shifted.sum()))


def test_a_candidate_is_compared_with_the_active_model(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    job = worker.process(tmp_path / "ct")
    assert worker.shadow_run().state is ShadowState.WAITING
    worker.runner.poll()
    run = worker.shadow_run()
    assert (run.state, run.active, run.candidate) == (
        ShadowState.COMPARED,
        "liver-ct@1.0",
        CANDIDATE,
    )
    (liver,) = run.organs
    assert liver.dice == pytest.approx(expected_dice(tmp_path / "again"), abs=1e-9)
    assert liver.reference_ml == pytest.approx(job.measurements["Liver"]["volume_ml"])
    assert liver.volume_ml == pytest.approx(liver.reference_ml)
    assert run.active_s is not None
    assert run.candidate_s is not None
    assert run.candidate_s > 0


def test_a_shadow_run_delivers_nothing_and_is_no_job(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    job = worker.process(tmp_path / "ct")
    delivered, counts = list(worker.pacs.received), worker.store.count_jobs()
    worker.runner.poll()
    path = worker.shadow_run().result_path
    assert path is not None
    assert worker.store.files.exists(path)
    assert worker.pacs.received == delivered
    assert worker.store.count_jobs() == counts
    assert worker.jobs(job.series_instance_uid) == (job,)
    paths = {path for each in worker.store.objects_of(job) for path in each.paths}
    assert path not in paths


def test_a_candidate_has_uids_of_its_own(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker()
    job = worker.process(tmp_path / "ct")
    worker.runner.poll()
    (request,) = worker.shadow_requests
    assert request.job.job_id == worker.shadow_run().shadow_id != job.job_id
    assert request.job.destinations == ()


@pytest.mark.parametrize(
    ("candidate", "reason"), [(REFUSING, "24 slices"), (FAILING, "by a defect")]
)
def test_a_candidate_that_fails_changes_nothing_for_the_site(
    start_worker: StartWorker, tmp_path: Path, candidate: str, reason: str
) -> None:
    worker = start_worker(candidate)
    job = worker.process(tmp_path / "ct")
    worker.runner.poll()
    run = worker.shadow_run()
    assert run.state is ShadowState.FAILED
    assert reason in run.reason
    assert worker.store.get_job(job.job_id) == job
    assert not worker.store.parked_jobs(10)


def test_a_run_that_makes_way_for_a_job_starts_again(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    worker.process(tmp_path / "ct")
    worker.is_busy = True
    for _ in range(5):
        worker.runner.poll()
    assert (worker.shadow_run().state, worker.shadow_run().attempts) == (ShadowState.WAITING, 0)
    worker.is_busy = False
    worker.runner.poll()
    assert worker.shadow_run().state is ShadowState.COMPARED


def test_a_shadow_run_waits_while_a_job_is_queued(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    job = worker.process(tmp_path / "ct")
    waiting = replace(job, job_id="queued", state=JobState.QUEUED)
    worker.store.add_job(waiting)
    worker.runner.poll()
    assert worker.shadow_run().state is ShadowState.WAITING
    assert worker.shadow_requests == []


def test_a_run_whose_worker_died_starts_again_a_limited_number_of_times(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    worker.process(tmp_path / "ct")
    worker.is_busy = True
    for attempts in (1, 2, 3):
        run = worker.shadow_run()
        assert worker.store.claim_shadow_run(run, worker.now() - timedelta(hours=2))
        assert worker.shadow_run().attempts == attempts
        worker.runner._resume_lost()
    assert worker.shadow_run().state is ShadowState.FAILED


def test_retention_deletes_the_result_of_a_candidate_and_keeps_its_agreement(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    job = worker.process(tmp_path / "ct")
    worker.runner.poll()
    path = worker.shadow_run().result_path
    assert path is not None
    assert worker.store.clear_series(job.series_instance_uid, worker.now())
    assert not worker.store.files.exists(path)
    assert worker.shadow_run().result_path is None
    assert worker.shadow_run().organs


def test_a_cleared_series_has_nothing_to_compare(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker()
    job = worker.process(tmp_path / "ct")
    assert worker.store.clear_series(job.series_instance_uid, worker.now())
    worker.runner.poll()
    assert worker.shadow_run().state is ShadowState.SKIPPED


def test_without_a_candidate_there_is_no_shadow_run(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(None)
    worker.process(tmp_path / "ct")
    assert worker.store.shadow_runs() == []
