"""Files in the data folder by which commands find the supervisors of this host, and their state."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Self

# Reserved in advance, so that a report needs no free space on the disk.
_FILE_BYTES = 1024
REPORT_SECONDS = 2.0


class ProcessState(StrEnum):
    """The state of a process of the node, as its supervisor sees it."""

    STARTING = "starting"
    WORKING = "working"
    HANGING = "hanging"
    ENDED = "ended"


@dataclass(frozen=True)
class ProcessReport:
    """The state of the process of one role, and for how long it has had it."""

    role: str
    state: ProcessState
    seconds: float


@dataclass(frozen=True)
class SupervisorReport:
    """What a supervisor last reported about its processes, and the age of this report."""

    process_id: int
    age_s: float
    processes: tuple[ProcessReport, ...]


class SupervisorFile:
    """The file that a supervisor holds while it runs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    @classmethod
    def reserved(cls, file: BinaryIO) -> Self:
        """The file with its space on the disk, and no report yet."""
        created = cls(file)
        created.report(())
        return created

    def report(self, processes: Sequence[ProcessReport]) -> None:
        """Replaces the report. A disk that refuses it must not stop the node."""
        content = {
            "reported_at": time.monotonic(),  # the same clock for every process of this host
            "processes": [asdict(process) for process in processes],
        }
        with suppress(OSError):
            os.pwrite(self._file.fileno(), json.dumps(content).encode().ljust(_FILE_BYTES), 0)


@contextmanager
def hold_supervisor_file(data_dir: Path) -> Iterator[SupervisorFile]:
    """Holds the file of this process, whose name has the host and the process id."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / f"{_prefix()}{os.getpid()}.lock"
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield SupervisorFile.reserved(lock)
        finally:
            path.unlink(missing_ok=True)


def running_supervisors(data_dir: Path) -> list[int]:
    """Returns the process ids of the supervisors that run on this host over this folder."""
    return [_process_id(path) for path in _held_files(data_dir)]


def supervisor_reports(data_dir: Path) -> list[SupervisorReport]:
    """Returns the newest report of each supervisor that runs on this host over this folder."""
    reports = []
    for path in _held_files(data_dir):
        with suppress(FileNotFoundError):  # it has ended meanwhile
            content = json.loads(path.read_bytes())
            processes = tuple(
                ProcessReport(each["role"], ProcessState(each["state"]), each["seconds"])
                for each in content["processes"]
            )
            age_s = time.monotonic() - content["reported_at"]
            reports.append(SupervisorReport(_process_id(path), age_s, processes))
    return reports


def _held_files(data_dir: Path) -> list[Path]:
    found = []
    for path in sorted(data_dir.glob(f"{_prefix()}*.lock")):
        with path.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(path)
    return found


def _process_id(path: Path) -> int:
    return int(path.stem.removeprefix(_prefix()))


def _prefix() -> str:
    # Hosts may share the folder.
    return f"supervisor-{socket.gethostname()}-"
