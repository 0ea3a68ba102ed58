"""Eight concurrent senders during inference: no C-STORE fails, every series has its result.

Every second sender uses TLS, and so does the PACS; there is no web process.

`make soak` sends 250 series per sender instead of ten.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from threading import Event, Thread

import pytest

from node.demo.orthanc_pacs import OrthancPacs
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.identifiers import Uid
from node.domain.job import JobState, is_final
from node.domain.result_objects import SEG, ObjectUids
from tests.support.dicom.labelled_cases import SHAPE
from tests.support.peers.dcmsend import dcmsend
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.running_node import RunningNode
from tests.support.tiny_model import TINY, tiny_catalogue, tiny_scan
from tests.support.waiting import until

ASSOCIATIONS = 8
SERIES_EACH = int(os.environ.get("SEGNODE_LOAD_SERIES", "6"))
SECONDS_PER_SERIES = 10.0
# Longer than a pause within a series, and much shorter than all the sending.
QUIET_S = 3.0
# Allowed memory growth of a process: buffers and caches that fill once, but nothing that grows
# with the number of series.
MAX_GROWTH_MB = 80.0
SAMPLE_S = 0.5
SLICES = SHAPE[0]


@pytest.fixture
def node(tmp_path: Path, pacs: OrthancPacs, tls: TlsSite | None) -> Iterator[RunningNode]:
    pacs.start()
    running = RunningNode(tmp_path / "node", pacs, tls=tls)
    catalogue = tiny_catalogue(tmp_path / "model")
    running.configure(quiet_seconds=QUIET_S, model=TINY, catalogue=catalogue)
    running.start()
    yield running
    running.close()


@dataclass
class Memory:
    """The resident memory of the node's processes in MB, sampled inside the `with` block."""

    node: RunningNode
    samples: dict[str, list[float]] = field(default_factory=dict)
    _ended: Event = field(default_factory=Event)

    def __enter__(self) -> "Memory":
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            for name, megabytes in self.node.memory().items():
                self.samples.setdefault(name, []).append(megabytes)


@dataclass
class Sender:
    """A modality that sends series one after another, with the statuses and seconds per series."""

    node: RunningNode
    number: int
    folder: Path
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    series: list[Uid] = field(default_factory=list)

    def send_all(self) -> None:
        """Creates and sends each series, each on its own association."""
        scan = tiny_scan()
        by_tls = self.node.tls is not None and self.number % 2
        to = (self.node.tls_port, self.node.tls) if by_tls else (self.node.dicom_port, None)
        for n in range(SERIES_EACH):
            description = CtDescription(seed=f"{self.number}-{n}")
            files = write_ct_series(scan, self.folder / str(n), description)
            started = time.perf_counter()
            sent = dcmsend(files, *to)
            self.seconds.append(time.perf_counter() - started)
            self.series.append(Uid(description.series_instance_uid))
            self.statuses += sent.statuses.values()
            shutil.rmtree(self.folder / str(n))


@pytest.mark.timeout(600 + SECONDS_PER_SERIES * SERIES_EACH * ASSOCIATIONS)
def test_every_series_of_eight_senders_has_its_result_and_memory_stays_bounded(
    node: RunningNode, tmp_path: Path
) -> None:
    senders = [Sender(node, n, tmp_path / f"sender{n}") for n in range(ASSOCIATIONS)]
    count = SERIES_EACH * ASSOCIATIONS
    with Memory(node) as memory:
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            for sent in [pool.submit(sender.send_all) for sender in senders]:
                sent.result()
        ended_while_sending = ended_jobs(node)
        within = 120 + SECONDS_PER_SERIES * count
        until(lambda: ended_jobs(node) == count, within, f"{count} jobs to end", poll_s=0.5)
    report(senders, memory, ended_while_sending)

    statuses = [status for sender in senders for status in sender.statuses]
    assert statuses == [0x0000] * count * SLICES
    assert ended_while_sending > 0, "inference ran at the same time"
    expected = []
    for series in (series for sender in senders for series in sender.series):
        (job,) = node.store.jobs_of(series)
        assert (job.state, job.instance_count) == (JobState.DELIVERED, SLICES), job.reason
        expected.append(str(ObjectUids(job.job_id, SEG).sop_instance_uid()))
    assert sorted(node.all_results()) == sorted(expected)
    for name, samples in memory.samples.items():
        assert growth_mb(samples) < MAX_GROWTH_MB, f"{name}: {samples}"


def ended_jobs(node: RunningNode) -> int:
    """Number of ended jobs."""
    return sum(count for state, count in node.store.count_jobs().items() if is_final(state))


def growth_mb(samples: Sequence[float]) -> float:
    """Peak memory of the last quarter minus that of the first, in MB."""
    quarter = max(1, len(samples) // 4)
    return max(samples[-quarter:]) - max(samples[:quarter])


def report(senders: Sequence[Sender], memory: Memory, ended_while_sending: int) -> None:
    """Prints the measurements."""
    stored = sum(len(sender.statuses) for sender in senders)
    print(f"\n{stored} instances; {ended_while_sending} jobs ended during reception")
    for quarter in range(4):
        first, last = (SERIES_EACH * n // 4 for n in (quarter, quarter + 1))
        times = [seconds for sender in senders for seconds in sender.seconds[first:last]]
        per_image = [1000 * seconds / SLICES for seconds in times]
        print(
            f"C-STORE, quarter {quarter + 1}: {median(per_image):.1f} ms in the median series, "
            f"{max(per_image):.1f} ms in the slowest"
        )
    for name, samples in memory.samples.items():
        size = max(1, len(samples) // 4)
        quarters = [max(samples[n * size : (n + 1) * size]) for n in range(4)]
        print(f"{name}, peak MB by quarter: {', '.join(f'{peak:.0f}' for peak in quarters)}")
