"""Memory, threads and sockets of a process, from /proc (Linux)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


def memory_mib(pid: int) -> int:
    """Resident memory now, in MiB."""
    return int(_status(pid, "VmRSS").split()[0]) >> 10


def peak_memory_mib(pid: int) -> int:
    """Peak resident memory since its start, in MiB."""
    return int(_status(pid, "VmHWM").split()[0]) >> 10


def threads(pid: int) -> int:
    """Number of threads."""
    return int(_status(pid, "Threads"))


def sockets(pid: int) -> int:
    """Number of open sockets."""
    count = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(file.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed in the meantime
            continue
    return count


@dataclass(frozen=True)
class Rest:
    """What a process holds while it does nothing."""

    threads: int
    sockets: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Measures it now."""
        return cls(threads(pid), sockets(pid))

    def is_reached(self, pid: int, *, timers: int) -> bool:
        """Whether the process holds no more; each of its `timers` may have got its thread since."""
        return threads(pid) <= self.threads + timers and sockets(pid) == self.sockets


def _status(pid: int, name: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name}:"))
    return line.partition(":")[2]
