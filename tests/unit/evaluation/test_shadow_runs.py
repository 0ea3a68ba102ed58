"""Shadow runs: a candidate runs beside the active model, and nothing of it leaves the node."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from node.dicom.ct.reader import read_series
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState, shadow_id
from node.domain.job import Job, JobState
from tests.support.dicom.body import THRESHOLD_HU
from tests.support.processes.evaluating_worker import (
    CANDIDATE,
    FAILING,
    REFUSING,
    SHIFTED_ROWS,
    EvaluatingWorker,
)


@dataclass(frozen=True)
class Site:
    """A worker that has delivered the result of one job, whose rule names a candidate."""

    worker: EvaluatingWorker
    job: Job
    images: Path
    first: ShadowRun  # as the decision created it

    def add_run(self, name: str, candidate: str = CANDIDATE) -> ShadowRun:
        """Adds a waiting run; runs of other tests wait no longer."""
        for earlier in self.worker.store.shadow_runs(ShadowState.WAITING):
            self.worker.store.record_shadow_run(replace(earlier, state=ShadowState.SKIPPED))
        run = replace(self.first, shadow_id=shadow_id(name, candidate), candidate=candidate)
        self.worker.store.add_shadow_runs([run])
        return run

    def stored(self, run: ShadowRun) -> ShadowRun:
        """Returns the run as it is now."""
        runs = {each.shadow_id: each for each in self.worker.store.shadow_runs()}
        return runs[run.shadow_id]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("shadows")
    worker = EvaluatingWorker(folder / "site")
    worker.start()
    job = worker.process(folder / "ct")
    (first,) = worker.store.shadow_runs()
    yield Site(worker, job, folder / "ct", first)
    worker.stop()


def expected_dice(images: Path) -> float:
    """The Dice coefficient of the liver and its shifted copy."""
    liver = read_series(sorted(images.iterdir())).volume.array > THRESHOLD_HU
    shifted = np.roll(liver, SHIFTED_ROWS, axis=1)
    return float(2 * (liver & shifted).sum() / (liver.sum() + shifted.sum()))


def test_a_decision_gives_each_job_a_run_of_the_candidate(site: Site) -> None:
    assert (site.first.job_id, site.first.state) == (site.job.job_id, ShadowState.WAITING)
    assert (site.first.active, site.first.candidate) == ("liver-ct@1.0", CANDIDATE)


def test_a_candidate_is_compared_with_the_active_model(site: Site) -> None:
    run = site.add_run("compared")
    site.worker.runner.poll()
    run = site.stored(run)
    assert run.state is ShadowState.COMPARED
    (liver,) = run.organs
    assert liver.dice == pytest.approx(expected_dice(site.images), abs=1e-9)
    assert liver.reference_ml == pytest.approx(site.job.measurements["Liver"]["volume_ml"])
    assert liver.volume_ml == pytest.approx(liver.reference_ml)
    assert run.active_s is not None
    assert run.candidate_s is not None
    assert run.candidate_s > 0


def test_a_shadow_run_delivers_nothing_and_is_no_job(site: Site) -> None:
    worker, run = site.worker, site.add_run("apart")
    delivered, counts = list(worker.pacs.received), worker.store.count_jobs()
    worker.runner.poll()
    path = site.stored(run).result_path
    assert path is not None
    assert worker.store.files.exists(path)
    assert worker.pacs.received == delivered
    assert worker.store.count_jobs() == counts
    assert worker.jobs(site.job.series_instance_uid) == (site.job,)
    paths = {path for each in worker.store.objects_of(site.job) for path in each.paths}
    assert path not in paths


def test_a_candidate_has_uids_of_its_own_and_no_destination(site: Site) -> None:
    run = site.add_run("uids")
    site.worker.runner.poll()
    request = site.worker.shadow_requests[-1]
    assert request.job.job_id == run.shadow_id != site.job.job_id
    assert request.job.destinations == ()


@pytest.mark.parametrize(
    ("candidate", "reason"), [(REFUSING, "24 slices"), (FAILING, "by a defect")]
)
def test_a_candidate_that_fails_changes_nothing_for_the_site(
    site: Site, candidate: str, reason: str
) -> None:
    run = site.add_run("failing", candidate)
    site.worker.runner.poll()
    run = site.stored(run)
    assert run.state is ShadowState.FAILED
    assert reason in run.reason
    assert site.worker.store.get_job(site.job.job_id) == site.job
    assert not site.worker.store.parked_jobs(10)


def test_a_run_that_makes_way_for_a_job_starts_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = site.add_run("makes way")
    with monkeypatch.context() as busy:
        busy.setattr(site.worker, "is_busy", True)
        for _ in range(5):
            site.worker.runner.poll()
        assert (site.stored(run).state, site.stored(run).attempts) == (ShadowState.WAITING, 0)
    site.worker.runner.poll()
    assert site.stored(run).state is ShadowState.COMPARED


def test_a_run_whose_worker_died_starts_again_a_limited_number_of_times(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.worker, "is_busy", True)
    worker, run = site.worker, site.add_run("lost")
    for attempts in (1, 2):
        claimed = worker.store.claim_shadow_run(site.stored(run), worker.now() - timedelta(hours=2))
        assert claimed
        worker.runner.poll()
        assert (site.stored(run).state, site.stored(run).attempts) == (
            ShadowState.WAITING,
            attempts,
        )
    assert worker.store.claim_shadow_run(site.stored(run), worker.now() - timedelta(hours=2))
    worker.runner.poll()
    assert site.stored(run).state is ShadowState.FAILED


def test_a_run_that_another_worker_has_claimed_is_left_to_it(site: Site) -> None:
    run = site.add_run("claimed")
    assert site.worker.store.claim_shadow_run(run, site.worker.now())
    requests = len(site.worker.shadow_requests)
    site.worker.runner.poll()
    assert len(site.worker.shadow_requests) == requests
    assert site.stored(run).state is ShadowState.RUNNING


def test_a_shadow_run_waits_while_a_job_is_queued(site: Site) -> None:
    run = site.add_run("queued")
    site.worker.store.add_job(replace(site.job, job_id="queued", state=JobState.QUEUED))
    requests = len(site.worker.shadow_requests)
    site.worker.runner.poll()
    assert len(site.worker.shadow_requests) == requests
    assert site.stored(run).state is ShadowState.WAITING
    now = site.worker.now()
    site.worker.store.change_job("queued", JobState.SUPERSEDED, now)


def test_retention_deletes_the_result_of_a_candidate_and_keeps_its_agreement(site: Site) -> None:
    run = site.add_run("cleared")
    site.worker.runner.poll()
    path = site.stored(run).result_path
    assert path is not None
    late = site.add_run("too late")
    assert site.worker.store.clear_series(site.job.series_instance_uid, site.worker.now())
    assert not site.worker.store.files.exists(path)
    assert site.stored(run).result_path is None
    assert site.stored(run).organs
    site.worker.runner.poll()
    assert site.stored(late).state is ShadowState.SKIPPED
