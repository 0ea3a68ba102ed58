"""The time of day jumps by an hour while a node is at work: all arrives, whole and once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.domain.job import JobState, result_identity
from tests.support.processes.hosts import HostsOfASite
from tests.support.processes.running_node import small_abdomen
from tests.support.waiting import until

WORK_S = 120.0


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancPacs]:
    """A PACS that is down at first."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path / "orthanc")
    yield pacs
    pacs.kill()


# Python sleeps by a call that libfaketime 0.9.10 breaks; waiting for an event is another.
_SLEEP = """
import threading
import time

time.sleep = lambda seconds: threading.Event().wait(seconds) and None
"""


class FakeClock:
    """What processes see as the time of day, once they run in its `environment`."""

    def __init__(self, folder: Path) -> None:
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not libraries:
            pytest.skip("faketime is not installed: apt-get install faketime")
        self._file = folder / "clock"
        start = folder / "at start"
        start.mkdir()
        (start / "sitecustomize.py").write_text(_SLEEP)
        self.environment = {
            "PYTHONPATH": str(start),
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        self.jump(hours=0)

    def jump(self, *, hours: int) -> None:
        """The clock goes so many hours before, or after, the true one from now on."""
        self._file.write_text(f"{hours * 3600:+d}\n")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_by_an_hour_keeps_nothing_back_and_cuts_nothing_short(
    orthanc: OrthancPacs, tmp_path: Path, hours: int
) -> None:
    clock = FakeClock(tmp_path)
    waiting, arriving = (small_abdomen(tmp_path / str(seed), seed=seed) for seed in (61, 62))
    site = HostsOfASite(tmp_path, orthanc, "", 1, quiet_seconds=3.0)
    try:
        site.start(clock.environment)
        site.send(waiting)
        until(lambda: tries(site) >= 2, WORK_S, "two tries at the PACS that is down")
        site.send(arriving[:10])
        clock.jump(hours=hours)
        site.send(arriving[10:])
        orthanc.start()
        jobs = site.ended_jobs(2, WORK_S)

        assert sorted(job.instance_count for job in jobs) == sorted([len(waiting), len(arriving)])
        for job in jobs:
            assert job.state is JobState.DELIVERED, job.reason
            result = result_identity(job.job_id).sop_instance_uid
            assert site.results(job.study_instance_uid) == [result]
    finally:
        site.close()


def tries(site: HostsOfASite) -> int:
    """How often the delivery of the only job has failed."""
    jobs = site.store.list_jobs()
    deliveries = site.store.deliveries_of(jobs[0].job_id) if jobs else ()
    return deliveries[0].attempts if deliveries else 0
