"""An early run whose process dies, or to which images are added: one result, of all images."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.processes.role_process import Role
from tests.support.processes.running_node import RunningNode
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until

WAIT_S = 120.0
# It does not pass: the tests request the start of a series once its early run is far enough.
QUIET_S = 600.0
INFERENCE = "inference"
# What the log shows when the process dies.
WITHIN, AFTER = '"stage": "segment"', '"event": "early_run.ended"'
KILLS = (
    (WITHIN, Role.WORKER),
    (AFTER, Role.WORKER),
    (WITHIN, INFERENCE),
    (AFTER, INFERENCE),
    (WITHIN, Role.LISTENER),
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A running node that all tests share."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("early")
    with OrthancPacs(folder / "orthanc") as orthanc:
        running = RunningNode(folder / "node", orthanc)
        running.configure(
            quiet_seconds=QUIET_S,
            model=TINY,
            catalogue=tiny_catalogue(folder / "model"),
            log_level="debug",
        )
        running.start()
        yield running
        running.close()


def events(node: RunningNode, job: Job) -> list[str]:
    return [event.event for event in node.store.history_of(job.job_id)]


def wait_for(node: RunningNode, text: str, start: int) -> None:
    """Waits until the log has a line with the text after `start`."""
    until(lambda: text in node.log()[start:], WAIT_S, text, poll_s=0.001)


def process_of(node: RunningNode, process: str) -> int:
    if process != INFERENCE:
        return node.process_of(Role(process))
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == node.supervisor and int(entry.name) > 1:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"node.inference.child" in words:
                    return int(entry.name)
    raise AssertionError("no inference process runs")


def check_one_result(node: RunningNode, series: Uid, study: Uid, instances: int) -> Job:
    job = node.ended_job(series)
    assert (job.state, job.instance_count) == (JobState.DELIVERED, instances), job.reason
    assert len(node.store.jobs_of(series)) == 1
    assert node.results(study) == [job.result_uids.sop_instance_uid()]
    return job


@pytest.mark.timeout(600)
def test_a_process_that_dies_during_or_after_an_early_run_changes_no_result(
    node: RunningNode, tmp_path: Path
) -> None:
    for number, (when, process) in enumerate(KILLS):
        description = CtDescription(seed=f"kill {number}")
        files = write_ct_series(tiny_scan(), tmp_path / str(number), description)
        series = Uid(description.series_instance_uid)
        study = Uid(description.study_instance_uid)
        start = len(node.log())
        node.send(files)
        wait_for(node, when, start)
        assert node.store.jobs_of(series) == (), "nothing is decided yet"
        assert node.results(study) == []
        os.kill(process_of(node, process), signal.SIGKILL)
        node.store.request_start(series, datetime.now(UTC))
        job = check_one_result(node, series, study, len(files))
        if process is Role.LISTENER:
            wait_for(node, "listener.ready", start)
        if process is not Role.WORKER and when == AFTER:
            assert "job.early_result_used" in events(node, job)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("when", [WITHIN, AFTER])
def test_images_that_arrive_during_or_after_an_early_run_are_in_the_only_result(
    node: RunningNode, tmp_path: Path, when: str
) -> None:
    description = CtDescription(seed=f"more images {when}")
    files = write_ct_series(tiny_scan(), tmp_path, description)
    series, study = Uid(description.series_instance_uid), Uid(description.study_instance_uid)
    start = len(node.log())
    node.send(files[:-3])
    wait_for(node, when, start)
    node.send(files[-3:])
    wait_for(node, f'"instances": {len(files)}', start)
    assert node.store.jobs_of(series) == ()
    node.store.request_start(series, datetime.now(UTC))
    job = check_one_result(node, series, study, len(files))
    assert "job.early_result_used" in events(node, job)
    assert "series.early_run_discarded" in [e.event for e in node.store.history_of(series)]
