"""The clock jumps by an hour, back and forth, while a node works: every result arrives once.

DICOM uses TLS, whose certificates stay valid; no host serves HTTP.
"""

from pathlib import Path

import pytest

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.job import JobState
from node.domain.result_objects import SEG, ObjectUids
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.hosts import MultiHostSite
from tests.support.processes.running_node import small_abdomen
from tests.support.waiting import until

WORK_S = 120.0


# libfaketime 0.9.10 breaks the call behind time.sleep; waiting for an event uses another one.
_SLEEP = """
import threading
import time

time.sleep = lambda seconds: threading.Event().wait(seconds) and None
"""


class FakeClock:
    """The time of day of all processes that run in its `environment`."""

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
            # The monotonic clock is true, so no wait on it needs the library's correction. With the
            # correction, threads of one process hand over to each other many times slower.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "FAKETIME_DONT_RESET": "1",
        }
        self.jump(hours=0)

    def jump(self, *, hours: int) -> None:
        """Sets the clock `hours` ahead of the true time, or behind it if negative."""
        self._file.write_text(f"{hours * 3600:+d}\n")


def test_a_clock_that_jumps_by_an_hour_delays_no_delivery_and_cuts_no_series_short(
    pacs: OrthancPacs, tls: TlsSite | None, tmp_path: Path
) -> None:
    clock = FakeClock(tmp_path)
    site = MultiHostSite(tmp_path, pacs, "", 1, quiet_seconds=3.0, tls=tls)
    try:
        site.start(clock.environment)
        for jump_hours, seeds in ((-1, (61, 62)), (1, (63, 64))):
            clock.jump(hours=0)
            send_while_the_clock_jumps(site, clock, jump_hours, tmp_path, seeds)
            pacs.kill()
    finally:
        site.close()


def send_while_the_clock_jumps(
    site: MultiHostSite, clock: FakeClock, jump_hours: int, folder: Path, seeds: tuple[int, int]
) -> None:
    """One delivery waits for a PACS that is down and one series arrives while the clock jumps."""
    known = {job.job_id for job in site.store.list_jobs()}
    waiting, arriving = (small_abdomen(folder / str(seed), seed=seed) for seed in seeds)
    site.send(waiting)
    until(lambda: failed_attempts(site, known) >= 2, WORK_S, "two failed attempts at delivery")
    site.send(arriving[:10])
    clock.jump(hours=jump_hours)
    site.send(arriving[10:])
    site.orthanc.start()
    jobs = [job for job in site.ended_jobs(len(known) + 2, WORK_S) if job.job_id not in known]

    assert sorted(job.instance_count for job in jobs) == sorted([len(waiting), len(arriving)])
    for job in jobs:
        assert job.state is JobState.DELIVERED, job.reason
        result = ObjectUids(job.job_id, SEG).sop_instance_uid()
        assert site.results(job.study_instance_uid) == [result]


def failed_attempts(site: MultiHostSite, known: set[str]) -> int:
    """Failed attempts at the delivery of the only job that is not known yet."""
    jobs = [job for job in site.store.list_jobs() if job.job_id not in known]
    deliveries = site.store.deliveries_of(jobs[0].job_id) if jobs else ()
    return deliveries[0].attempts if deliveries else 0
