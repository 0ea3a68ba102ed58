"""`kill -9` of each process at each step, four series in flight: nothing lost, nothing twice.

One process for each step, in turn; `make soak` kills each at each SEGNODE_CRASH_ROUNDS times.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import dcmread

from node.demo.orthanc_pacs import Modality, OrthancPacs, free_ports, orthanc_missing
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.identifiers import Uid
from node.domain.job import JobState, result_identity
from node.maintenance.verify import Verification
from node.processes.supervisor import Role
from tests.support.peers.dcmsend import dcmsend
from tests.support.processes.running_node import RunningNode
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until

ROUNDS = int(os.environ.get("SEGNODE_CRASH_ROUNDS", "0"))
SUPERVISOR = "supervisor"
# The supervisor is the last: with a new one, its processes have never fallen.
PROCESSES = (*Role, SUPERVISOR)
SENDING = ("receive", "assemble")
STEPS = (*SENDING, "load", "segment", "encode", "deliver", "commit")
IN_FLIGHT = 4
# Longer than a process is mostly away, as at a site: what is sent again joins what came before.
QUIET_S = 4.0
WAIT_S = 120.0
ROUND_S = 60.0


def rounds() -> list[tuple[str, str]]:
    """What to kill at which step, in this order."""
    if ROUNDS:
        return [(step, process) for step in STEPS for process in PROCESSES] * ROUNDS
    return [(step, PROCESSES[number % len(PROCESSES)]) for number, step in enumerate(STEPS)]


@dataclass
class Series:
    """A CT on its way to the node; the sender keeps each image until it is acknowledged."""

    series: Uid
    study: Uid
    files: dict[Uid, Path]
    acknowledged: set[Uid] = field(default_factory=set)

    @classmethod
    def write(cls, folder: Path, seed: str) -> "Series":
        """A new one."""
        told = CtDescription(seed=seed)
        paths = write_ct_series(tiny_scan(), folder, told)
        uids = [
            Uid(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in paths
        ]
        return cls(
            Uid(told.series_instance_uid),
            Uid(told.study_instance_uid),
            dict(zip(uids, paths, strict=True)),
        )

    def send(self, port: int) -> None:
        """C-STORE what is not acknowledged, over and over until all is."""

        def all_taken() -> bool:
            missing = [path for uid, path in self.files.items() if uid not in self.acknowledged]
            self.acknowledged |= dcmsend(missing, port).acknowledged
            return self.is_sent

        until(all_taken, WAIT_S, "all images to be taken", poll_s=0.1)

    @property
    def is_sent(self) -> bool:
        """Whether all is acknowledged."""
        return len(self.acknowledged) == len(self.files)


@dataclass
class Stages:
    """The stages that the node tells of its jobs, from where its log is now."""

    log: Path
    entered: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._file = self.log.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def read(self) -> list[tuple[str, str]]:
        """Each stage with its job, in the order in which they were entered."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                told = json.loads(line)
                if told.get("event") == "job.stage":
                    self.entered.append((told["stage"], told["job"]))
        return self.entered

    def of(self, job: str) -> str:
        """The stage in which a job is."""
        return [stage for stage, entered_by in self.read() if entered_by == job][-1]

    def close(self) -> None:
        """Read no more."""
        self._file.close()


@dataclass
class Matrix:
    """What is done to a node, round by round, and what came of it."""

    node: RunningNode
    folder: Path
    sent: list[Series] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    # Where the process died within the step, and not just after it.
    hits: Counter[str] = field(default_factory=Counter)

    def round(self, step: str, process: str) -> None:
        """Send, kill within the step, and go on until every series has come to its end."""
        number = self.kills.total()
        batch = [
            Series.write(self.folder / f"{number}-{n}", f"{number}-{n}") for n in range(IN_FLIGHT)
        ]
        self.sent += batch
        stages = Stages(self.node.folder / "node.log")
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            sending = [pool.submit(series.send, self.node.dicom_port) for series in batch]
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
        def come_in() -> bool:
            return all(self.node.store.get_series(one.series) is not None for one in batch)

        if step == "receive":
            until(come_in, WAIT_S, "something of each series to come in")
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
        with suppress(AssertionError):
            return self.node.process_of(Role(process))
        return 0

    def lost_instances(self) -> list[Uid]:
        """Those that were acknowledged and are not in the store as they were sent."""
        lost = []
        for series in self.sent:
            for uid in series.acknowledged:
                kept = self.node.store.find_instance(uid)
                if kept is None or dcmread(kept.instance.path) != dcmread(series.files[uid]):
                    lost.append(uid)
        return lost

    def results(self) -> list[int]:
        """How many results the PACS has of each series."""
        return [len(self.node.results(series.study)) for series in self.sent]


@pytest.fixture
def matrix(tmp_path: Path) -> Iterator[Matrix]:
    """A node with all its processes, and a PACS that commits itself to results."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    (port,) = free_ports(1)
    us = {"segnode": Modality("SEGNODE", "127.0.0.1", port)}
    with OrthancPacs(tmp_path / "orthanc", modalities=us) as orthanc:
        node = RunningNode(tmp_path / "node", orthanc, roles=tuple(Role), dicom_port=port)
        node.configure(
            quiet_seconds=QUIET_S,
            model=TINY,
            catalogue=tiny_catalogue(tmp_path / "model"),
            log_level="debug",
            commitment=True,
        )
        node.start()
        yield Matrix(node, tmp_path / "sent")
        node.close()


@pytest.mark.timeout(120 + ROUND_S * len(rounds()))
def test_whatever_is_killed_nothing_is_lost_and_every_series_has_one_result(
    matrix: Matrix,
) -> None:
    for step, process in rounds():
        matrix.round(step, process)

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
        # A process that is away for longer than the quiet time leaves a series that seems complete.
        assert {one.state for one in earlier} <= {JobState.REFUSED, JobState.SUPERSEDED}
        assert (job.state, job.instance_count) == (JobState.DELIVERED, len(series.files))
        expected = result_identity(job.job_id).sop_instance_uid
        assert matrix.node.results(series.study) == [expected]
