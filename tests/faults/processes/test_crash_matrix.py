"""SIGKILL of each process at each step with three series in flight: no loss, no duplicate.

Each job has three objects for two destinations. DICOM and HTTP use TLS, in all directions; who has
logged in before the first kill still is afterwards.

By default each step kills one process, in turn; `make soak` kills every process at every step,
SEGNODE_CRASH_ROUNDS times.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import dcmread

from node.access.passwords import hash_password
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.access.permissions import Role as UserRole
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.maintenance.verify import Verification
from node.processes.role_process import Role
from tests.support.peers.dcmsend import dcmsend
from tests.support.peers.secure_port import TlsSite, client_context
from tests.support.processes.listener_process import children_of
from tests.support.processes.running_node import RunningNode
from tests.support.processes.secured_site import orthanc_settings
from tests.support.processes.stages import Stages
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until

ROUNDS = int(os.environ.get("SEGNODE_CRASH_ROUNDS", "0"))
SUPERVISOR = "supervisor"
PASSWORD = "violet tractor sings quietly"
# The supervisor comes last: a new supervisor has not counted any crashes yet.
PROCESSES = (*Role, SUPERVISOR)
SENDING = ("receive", "assemble")
STEPS = (*SENDING, "load", "segment", "encode", "deliver", "commit")
IN_FLIGHT = 3
# Longer than most restarts of a process, as at a site: resent images join the earlier ones.
QUIET_S = 4.0
WAIT_S = 120.0
ROUND_S = 60.0


def rounds() -> list[tuple[str, str]]:
    """The steps and the processes to kill, in order."""
    if ROUNDS:
        return [(step, process) for step in STEPS for process in PROCESSES] * ROUNDS
    return [(step, PROCESSES[number % len(PROCESSES)]) for number, step in enumerate(STEPS)]


@dataclass
class Series:
    """A CT series being sent; the sender keeps each image until it is acknowledged."""

    series: Uid
    study: Uid
    files: dict[Uid, Path]
    acknowledged: set[Uid] = field(default_factory=set)

    @classmethod
    def write(cls, folder: Path, seed: str) -> "Series":
        """Writes a new series."""
        description = CtDescription(seed=seed)
        paths = write_ct_series(tiny_scan(), folder, description)
        uids = [
            Uid(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in paths
        ]
        return cls(
            Uid(description.series_instance_uid),
            Uid(description.study_instance_uid),
            dict(zip(uids, paths, strict=True)),
        )

    def send(self, port: int, tls: TlsSite | None) -> None:
        """Sends the unacknowledged images by C-STORE, repeatedly, until all are acknowledged."""

        def all_acknowledged() -> bool:
            missing = [path for uid, path in self.files.items() if uid not in self.acknowledged]
            self.acknowledged |= dcmsend(missing, port, tls).acknowledged
            return self.is_sent

        until(all_acknowledged, WAIT_S, "all images to be acknowledged", poll_s=0.1)

    @property
    def is_sent(self) -> bool:
        """Whether all images are acknowledged."""
        return len(self.acknowledged) == len(self.files)


@dataclass
class Matrix:
    """Kills processes of a node round by round and records the results."""

    node: RunningNode
    folder: Path
    sent: list[Series] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    # Kills that happened within the step and not just after it.
    hits: Counter[str] = field(default_factory=Counter)

    def round(self, step: str, process: str) -> None:
        """Sends series, kills a process within the step, and waits until every job has ended."""
        number = self.kills.total()
        batch = [
            Series.write(self.folder / f"{number}-{n}", f"{number}-{n}") for n in range(IN_FLIGHT)
        ]
        self.sent += batch
        stages = Stages(self.node.folder / "node.log")
        to = (self.node.scp.port, self.node.tls)
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            sending = [pool.submit(series.send, *to) for series in batch]
            until(lambda: self._pid(process), WAIT_S, f"the {process} to run")
            if step in SENDING:
                hit = self._kill_while_sending(step, process, batch, sending)
            else:
                hit = self._kill_in_stage(step, process, stages, number % IN_FLIGHT)
            self.kills[f"{process} at {step}"] += 1
            self.hits[step] += hit
            if process == SUPERVISOR:
                self.node.kill()
                self.node.start()
            for future in sending:
                future.result(WAIT_S)
        stages.close()
        for series in batch:
            self.node.ended_job(series.series, instances=len(series.files))

    def _kill_while_sending(
        self, step: str, process: str, batch: Sequence[Series], sending: Sequence[Future[None]]
    ) -> bool:
        def all_known() -> bool:
            return all(self.node.store.get_series(one.series) is not None for one in batch)

        if step == "receive":
            until(all_known, WAIT_S, "the first images of each series")
        else:
            for future in sending:
                future.result(WAIT_S)
        self._kill(process)
        if step == "receive":
            return not all(series.is_sent for series in batch)
        return not any(self.node.store.jobs_of(series.series) for series in batch)

    def _kill_in_stage(self, step: str, process: str, stages: Stages, which: int) -> bool:
        def entered() -> str:
            jobs = [job for stage, job in stages.read() if stage == step]
            return jobs[which] if len(jobs) > which else ""

        job = until(entered, WAIT_S, f"job {which + 1} to come to {step}", poll_s=0.001)
        self._kill(process)
        return stages.of(job) == step

    def _kill(self, process: str) -> None:
        os.kill(self._pid(process), signal.SIGKILL)

    def _pid(self, process: str) -> int:
        if process == SUPERVISOR:
            return self.node.supervisor
        with suppress(AssertionError, OSError, IndexError):
            running = self.node.process_of(Role(process))
            if process == Role.LISTENER:  # in turn one that serves senders, and what starts them
                candidates = [*children_of(running), running]
                return candidates[self.kills.total() % len(candidates)]
            return running
        return 0

    def lost_instances(self) -> list[Uid]:
        """Acknowledged instances that the store does not hold exactly as sent."""
        lost = []
        for series in self.sent:
            for uid in series.acknowledged:
                kept = self.node.store.find_instance(uid)
                if kept is None or dcmread(kept.instance.path) != dcmread(series.files[uid]):
                    lost.append(uid)
        return lost

    def in_pacs(self, series: Series) -> list[str]:
        """The SOP Instance UIDs of the series' study in the PACS."""
        query = {"StudyInstanceUID": str(series.study)}
        request = {"Level": "Instance", "Query": query, "Expand": True}
        found = self.node.orthanc.post("/tools/find", request)
        return sorted(instance["MainDicomTags"]["SOPInstanceUID"] for instance in found)

    def in_archive(self, series: Series) -> list[str]:
        """The SOP Instance UIDs of the series' study in the archive folder."""
        return sorted(f.stem for f in (self.node.folder / "archive" / series.study).rglob("*.dcm"))

    def results(self) -> list[int]:
        """Number of results in the PACS, per series."""
        return [len(self.node.results(series.study)) for series in self.sent]


@pytest.fixture
def matrix(tmp_path: Path, tls: TlsSite | None) -> Iterator[Matrix]:
    """A node with all its processes, and a PACS with storage commitment."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    (port,) = free_ports(1)
    us = {"AET": "SEGNODE", "Host": "127.0.0.1", "Port": port, "UseDicomTls": tls is not None}
    settings = {**orthanc_settings(tls), "DicomModalities": {"segnode": us}}
    with OrthancPacs(tmp_path / "orthanc", configuration=settings) as orthanc:
        plain, secure = (port, 0) if tls is None else (0, port)
        node = RunningNode(tmp_path / "node", orthanc, tuple(Role), plain, tls, secure)
        node.configure(
            quiet_seconds=QUIET_S,
            model=TINY,
            catalogue=tiny_catalogue(tmp_path / "model"),
            log_level="debug",
            commitment=True,
            destination='objects = ["seg", "sr", "capture"]',
            archive=True,
            listener_processes=2,
        )
        node.start()
        yield Matrix(node, tmp_path / "sent")
        node.close()


@contextmanager
def logged_in(node: RunningNode) -> Iterator[httpx.Client]:
    """The browser of an administrator who logs in now, where the node needs a login."""
    if node.tls is None:
        with node.program() as anybody:
            yield anybody
        return
    node.store.add_user("admin", UserRole.ADMINISTRATOR, datetime.now(UTC), hash_password(PASSWORD))
    context = client_context(node.tls.authority)
    limits = httpx.Limits(max_keepalive_connections=0)  # the server is killed between two requests
    with httpx.Client(base_url=node.url, verify=context, limits=limits) as browser:
        answer = browser.post("/login", data={"name": "admin", "password": PASSWORD})
        assert answer.status_code == 303
        yield browser


def series_of(browser: httpx.Client) -> list[dict[str, Any]]:
    """The series that the node shows; none while the web app that was killed starts again."""
    with suppress(httpx.TransportError):
        answer = browser.get("/api/series")
        assert answer.status_code == 200  # the login is still valid
        series: list[dict[str, Any]] = answer.json()
        return series
    return []


@pytest.mark.timeout(120 + ROUND_S * len(rounds()))
def test_after_every_kill_no_instance_is_lost_and_every_series_has_one_result(
    matrix: Matrix,
) -> None:
    with logged_in(matrix.node) as person:
        for step, process in rounds():
            matrix.round(step, process)
        assert len(until(lambda: series_of(person), WAIT_S, "the web app")) == len(matrix.sent)

    lost, results = matrix.lost_instances(), matrix.results()
    acknowledged = sum(len(series.acknowledged) for series in matrix.sent)
    print(f"\n{matrix.kills.total()} kills; within the step: {dict(matrix.hits)}")
    print(f"{acknowledged} instances acknowledged, {len(lost)} of them lost")
    print(f"{len(results)} series: {results.count(0)} without a result, ", end="")
    print(f"{sum(count > 1 for count in results)} with more than one")

    assert lost == []
    assert list(Verification(matrix.node.store).findings()) == []
    for series in matrix.sent:
        *earlier, job = matrix.node.store.jobs_of(series.series)
        # If a process is down for longer than the quiet time, an incomplete series seems complete.
        assert {one.state for one in earlier} <= {JobState.REFUSED, JobState.SUPERSEDED}
        assert (job.state, job.instance_count) == (JobState.DELIVERED, len(series.files))
        objects = matrix.node.store.objects_of(job)
        expected = sorted(uid for stored in objects for uid in stored.sop_instance_uids)
        assert len(expected) == 2 + len(series.files)  # SEG, SR, and a capture of each slice
        assert matrix.in_pacs(series) == expected
        assert matrix.in_archive(series) == expected
