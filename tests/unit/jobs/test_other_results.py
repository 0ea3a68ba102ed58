"""Which results of other models a job is compared with, and when it waits for one."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from node.dicom.results.comparison.other_result import OtherResult
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.result_objects import NOTICE, SEG, ResultObject
from node.domain.series import SeriesPart
from node.jobs.other_results import OtherModels
from node.store import Store
from tests.support.factories import NOON, SERIES, add_instances, job_of, sqlite_url
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

COMPARABLE = {"liver-ct": {"organs-ct"}, "organs-ct": {"liver-ct"}, "lung-ct": set[str]()}
MEASURED: dict[str, dict[str, float | bool]] = {"Liver": {"volume_ml": 1310.0}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    add_instances(store, "1.2.3.1")
    yield store
    store.close()


def running(
    store: Store,
    model: str,
    *,
    version: str = "1.0",
    digest: str = "0" * 64,
    part: SeriesPart | None = None,
) -> Job:
    """A job of the model that runs."""
    of_part = "" if part is None else part.value
    job = replace(
        job_of(Uid(SERIES), job_id=f"{model}-{version}-{digest[:4]}{of_part}"),
        part=part,
        model_id=model,
        model_version=version,
        series_digest=digest,
        created_at=NOON + timedelta(seconds=float(version)),
    )
    store.add_job(job)
    return store.change_job(job.job_id, JobState.RUNNING, NOON)


def finished(store: Store, job: Job, *, what: ResultObject = SEG) -> Path:
    """Stores a result of the job, which is then delivered."""
    path = store.data_dir / "results" / job.job_id / f"{what.name}.dcm"
    store.files.put(path, [b"an object"])
    store.change_job(job.job_id, JobState.DELIVERING, NOON, measurements=MEASURED, result_path=path)
    return path


def found(store: Store, job: Job) -> list[OtherResult]:
    """The results that the job is compared with."""

    def never(_seconds: float) -> None:
        raise AssertionError("it waits")

    others = OtherModels(store, COMPARABLE, lambda: NOON, never)
    with others.results(job) as results:
        return list(results)


def test_the_stored_result_of_another_model_is_found(store: Store) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct", version="0.2")
    path = finished(store, theirs)
    assert found(store, ours) == [OtherResult("organs-ct", "0.2", path, MEASURED)]
    assert found(store, ours)[0].model == "organs-ct 0.2"


def test_a_job_without_a_result_of_these_images_is_not_compared(store: Store) -> None:
    ours = running(store, "liver-ct")
    running(store, "organs-ct")  # it has no result yet
    finished(store, running(store, "organs-ct", digest="1" * 64))  # of other images
    finished(store, running(store, "lung-ct"))  # no organ in common
    finished(store, running(store, "liver-ct", version="0.9"))  # the same model
    finished(store, running(store, "organs-ct", version="2"), what=NOTICE)  # refused
    assert found(store, ours) == []


def test_each_phase_is_compared_with_the_same_phase(store: Store) -> None:
    arterial = SeriesPart("AcquisitionNumber", "1", 1, 2, 20, 20, "1" * 64)
    venous = replace(arterial, value="2", number=2, digest="2" * 64)
    finished(store, running(store, "organs-ct", part=arterial))
    finished(store, running(store, "organs-ct"))  # of the whole series
    assert found(store, running(store, "liver-ct", part=venous)) == []
    path = finished(store, running(store, "organs-ct", part=venous))
    (other,) = found(store, running(store, "liver-ct", version="2", part=venous))
    assert other.segmentation == path


@pytest.mark.parametrize("state", [JobState.DELIVERED, JobState.PARKED])
def test_a_result_counts_after_its_delivery_and_while_it_is_held(
    store: Store, state: JobState
) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    finished(store, theirs)
    store.change_job(theirs.job_id, state, NOON)
    assert len(found(store, ours)) == 1


def test_a_discarded_or_deleted_result_does_not_count(store: Store) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    path = finished(store, theirs)
    store.files.remove([path])
    assert found(store, ours) == []
    finished(store, running(store, "organs-ct", version="2"))
    store.change_job("organs-ct-2-0000", JobState.PARKED, NOON)
    store.change_job("organs-ct-2-0000", JobState.DISCARDED, NOON)
    assert found(store, ours) == []


def test_the_newest_version_of_another_model_counts(store: Store) -> None:
    ours = running(store, "liver-ct")
    for version in ("1", "2"):
        finished(store, running(store, "organs-ct", version=version))
    assert [result.model_version for result in found(store, ours)] == ["2"]


def test_only_a_model_with_a_common_organ_is_compared(store: Store) -> None:
    others = OtherModels(store, COMPARABLE, lambda: NOON)
    assert others.may_exist(running(store, "liver-ct"))
    assert not others.may_exist(running(store, "lung-ct"))
    assert not others.may_exist(running(store, "unknown-ct"))


def test_a_job_waits_for_one_that_knew_its_organs_earlier_and_is_storing_them(
    store: Store,
) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    store.record_analysis(theirs.job_id, [], NOON)
    waits: list[float] = []

    def store_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            finished(store, theirs)

    others = OtherModels(store, COMPARABLE, lambda: NOON + timedelta(seconds=1), store_meanwhile)
    with others.results(ours) as results:
        assert [result.model_id for result in results] == ["organs-ct"]
    assert len(waits) == 3


def test_a_job_does_not_wait_for_one_that_will_see_its_result(store: Store) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    assert found(store, ours) == [], "the other one has not found its organs yet"
    earlier = store.record_analysis(theirs.job_id, [ours.job_id], NOON)
    assert set(earlier) == {ours.job_id}, "the other one waits instead"


def test_two_jobs_never_wait_for_each_other(store: Store) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    store.record_analysis(theirs.job_id, [], NOON)
    earlier = store.record_analysis(ours.job_id, [theirs.job_id], NOON)
    assert store.still_storing(earlier) == [theirs.job_id]
    store.change_job(theirs.job_id, JobState.RUNNING, NOON)  # it starts again after an error
    store.record_analysis(theirs.job_id, [ours.job_id], NOON + timedelta(minutes=1))
    assert store.still_storing(earlier) == []


def test_a_job_does_not_wait_forever(store: Store) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    store.record_analysis(theirs.job_id, [], NOON)  # then its worker dies
    waits: list[float] = []
    later = NOON + timedelta(seconds=1)
    others = OtherModels(store, COMPARABLE, lambda: later, waits.append)
    with others.results(ours) as results:
        assert results == []
    assert 60 < sum(waits) < 600


def test_a_new_attempt_begins_without_the_record_of_the_last_one(store: Store) -> None:
    ours, theirs = running(store, "liver-ct"), running(store, "organs-ct")
    store.record_analysis(theirs.job_id, [], NOON - timedelta(hours=1))
    store.change_job(theirs.job_id, JobState.RUNNING, NOON)
    assert found(store, ours) == [], "it does not wait"


@pytest.mark.parametrize("_repeat", range(8))
def test_of_two_jobs_that_end_at_once_one_sees_the_others_result(
    store: Store, _repeat: int
) -> None:
    jobs = [running(store, "liver-ct"), running(store, "organs-ct")]
    seen: dict[str, int] = {}
    together = threading.Barrier(2)

    def run(job: Job) -> None:
        together.wait()
        with OtherModels(store, COMPARABLE, lambda: NOON, lambda _: None).results(job) as results:
            seen[job.model_id] = len(results)
            finished(store, job)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(seen.values()) == [0, 1]


def test_the_second_job_of_a_series_is_compared_with_the_first(tmp_path: Path) -> None:
    node = WorkerParts(tmp_path, comparable={"liver-ct": {"organs-ct"}})
    node.start()
    try:
        node.receive()
        node.poll()
        first = node.ended_job()
        assert node.others == []
        # The first job's result, as if it were that of another model.
        path = tmp_path / "results" / "another" / "seg.dcm"
        node.store.files.put(path, [b"a SEG"])
        other = replace(first, job_id="another", model_id="organs-ct", result_path=path)
        node.store.add_job(replace(other, created_at=NOON))
        node.store.rerun_job(first.job_id, node.now())
        node.job_scheduler.poll()
        until(lambda: len(node.replaces) == 2, 20, "the second inference")
    finally:
        node.stop()
    (found,) = node.others
    assert found.model_id == "organs-ct"
    assert found.measurements == first.measurements
