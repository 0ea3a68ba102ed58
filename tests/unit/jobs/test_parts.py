"""Each acquisition of a series is a job of its own, with its own state, result and deliveries."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from node.domain.errors import Rejected, RejectionReason
from node.domain.job import Job, JobState, job_id
from node.domain.job_summary import leading_job
from node.domain.result_objects import SEG, ObjectUids
from node.domain.series import AcquisitionChoice, SeriesState
from node.routing.rule_matching import Decision
from node.store.schema import JOBS
from tests.support.dicom.builders import CtFiles
from tests.support.dicom.phases import two_phases
from tests.support.processes.worker_parts import WorkerParts, raising


@pytest.fixture
def node(tmp_path: Path) -> Iterator[WorkerParts]:
    """A worker whose rule makes each acquisition a job of its own."""
    made = WorkerParts(tmp_path, acquisitions=AcquisitionChoice.EACH)
    made.start()
    yield made
    made.stop()


def send(node: WorkerParts, files: CtFiles, folder: str = "ct") -> str:
    """Receives the files and decides their series; returns its UID."""
    node.receive_files(files.write(node.folder / folder))
    series = str(files.datasets[0].SeriesInstanceUID)
    node.poll(series)
    return series


def titles(jobs: tuple[Job, ...]) -> list[str]:
    return sorted("" if job.part is None else job.part.title for job in jobs)


def part_2(jobs: tuple[Job, ...]) -> Job:
    return next(job for job in jobs if job.part is not None and job.part.number == 2)


def test_each_acquisition_has_its_own_result(node: WorkerParts) -> None:
    series = send(node, two_phases())
    jobs = node.ended_jobs(series, 2)
    assert titles(jobs) == ["acquisition 1", "acquisition 2"]
    assert {job.state for job in jobs} == {JobState.DELIVERED}
    assert {job.instance_count for job in jobs} == {24}
    results = {ObjectUids(job.job_id, SEG).sop_instance_uid() for job in jobs}
    assert {file.sop_instance_uid for file in node.pacs.received} == results
    assert len(node.pacs.received) == 2
    for job in jobs:
        assert {d.key for d in node.store.deliveries_of(job.job_id)} == {"pacs", "archive"}
        assert job.part is not None
        queued = node.store.history_of(job.job_id)[0]
        assert queued.detail == f"{job.part.title}: 24 instances, liver-ct 1.0"
    assert {request.job.part for request in node.requests} == {job.part for job in jobs}


def test_a_refused_part_does_not_hide_the_others(node: WorkerParts) -> None:
    refused = Rejected(RejectionReason.MISSING_SLICES, "Slices are missing.")
    node.on_inference = [raising(refused)]
    jobs = node.ended_jobs(send(node, two_phases()), 2)
    assert {job.state for job in jobs} == {JobState.DELIVERED, JobState.REFUSED}
    assert len(node.pacs.received) == 1
    leading = leading_job(jobs[::-1])
    assert leading is not None
    assert (leading.state, leading.reason) == (JobState.REFUSED, "Slices are missing.")
    (listed,) = node.store.outcomes_of([jobs[0].series_instance_uid])
    assert listed.outcome == "refused"
    assert listed.reason.endswith(": Slices are missing.")


def test_an_incomplete_part_is_a_job_of_its_own(node: WorkerParts) -> None:
    jobs = node.ended_jobs(send(node, two_phases(missing=7)), 2)
    assert titles(jobs) == ["acquisition 1", "acquisition 2"]


def test_a_decision_made_twice_adds_nothing(node: WorkerParts) -> None:
    series = send(node, two_phases())
    first = node.ended_jobs(series, 2)
    send(node, two_phases(), "again")
    node.poll(series)
    assert node.ended_jobs(series, 2) == first
    assert len(node.pacs.received) == 2


def test_parts_of_one_decision_do_not_supersede_each_other(node: WorkerParts) -> None:
    series = send(node, two_phases())
    node.series_completion.poll()
    assert JobState.SUPERSEDED not in {job.state for job in node.jobs(series)}


def test_a_series_that_grows_replaces_the_result_of_each_part(node: WorkerParts) -> None:
    files = two_phases()
    few = CtFiles(tuple(d for d in files.datasets if d.InstanceNumber not in (24, 48)))
    series = send(node, few)
    earlier = {job.part.key: job for job in node.ended_jobs(series, 2) if job.part is not None}
    send(node, files, "all")
    newer = [job for job in node.ended_jobs(series, 4) if job not in earlier.values()]
    assert titles(tuple(newer)) == ["acquisition 1", "acquisition 2"]
    for job in newer:
        assert job.part is not None
        assert job.replaces == earlier[job.part.key].as_replaced()
        assert job.replaces.instance_count == 23


def test_a_second_phase_replaces_the_result_of_the_first_as_a_series(node: WorkerParts) -> None:
    files = two_phases()
    series = send(node, CtFiles(files.datasets[:24]))
    (whole,) = node.ended_jobs(series, 1)
    assert whole.part is None
    send(node, files, "all")
    _whole, *parts = node.ended_jobs(series, 3)
    replaced = {job.part.number: job.replaces for job in parts if job.part is not None}
    assert replaced == {1: whole.as_replaced(), 2: None}


def test_a_job_of_the_whole_series_is_superseded_by_its_parts(node: WorkerParts) -> None:
    files = two_phases()
    node.receive_files(files.write(node.folder / "ct"))
    series = str(files.datasets[0].SeriesInstanceUID)
    each, node.series_completion.rules = (
        node.series_completion.rules,
        [replace(node.series_completion.rules[0], acquisitions=AcquisitionChoice.REFUSE)],
    )
    node.store.request_start(series, node.now())
    node.series_completion.poll()
    node.series_completion.rules = each
    node.poll(series)
    jobs = node.ended_jobs(series, 3)
    assert [job.state for job in jobs if job.part is None] == [JobState.SUPERSEDED]
    assert {job.state for job in jobs if job.part is not None} == {JobState.DELIVERED}


def test_a_part_that_runs_again_gives_the_same_instance(node: WorkerParts) -> None:
    series = send(node, two_phases())
    job = part_2(node.ended_jobs(series, 2))
    node.store.rerun_job(job.job_id, node.now())
    node.job_scheduler.poll()
    again = part_2(node.ended_jobs(series, 2))
    assert again.part == job.part
    assert len(node.requests) == 3
    uid = ObjectUids(job.job_id, SEG).sop_instance_uid()
    assert [file.sop_instance_uid for file in node.pacs.received].count(uid) == 2


def test_the_decision_names_the_parts(node: WorkerParts) -> None:
    series = send(node, two_phases())
    decision = Decision.from_json(node.store.decision_of(series) or "")
    assert decision.parts == ("acquisition 1", "acquisition 2")


def test_a_series_of_one_acquisition_is_one_job(node: WorkerParts) -> None:
    files = CtFiles(two_phases().datasets[:24])
    (job,) = node.ended_jobs(send(node, files), 1)
    digest = job.series_digest
    assert (job.part, job.job_id) == (None, job_id(digest, "liver-ct", "1.0"))


def test_a_defect_in_the_division_leaves_the_series_to_one_job(
    node: WorkerParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_paths: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("node.dicom.ct.reader.parts_of_series", fail)
    series = send(node, two_phases())
    (job,) = node.ended_jobs(series, 1)
    assert job.part is None
    assert any(event.event == "defect" for event in node.store.history_of(series))
    stored = node.store.get_series(series)
    assert stored is not None
    assert stored.state is SeriesState.ACCEPTED


def test_an_earlier_version_finds_no_rule_for_a_part(node: WorkerParts) -> None:
    series = send(node, two_phases())
    node.ended_jobs(series, 2)
    with node.store._database.reading() as connection:
        rules = set(connection.execute(select(JOBS.c.rule)).scalars())
    assert rules == {"acquisition 1 of liver", "acquisition 2 of liver"}
    assert {job.rule for job in node.jobs(series)} == {"liver"}
