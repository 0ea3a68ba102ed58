"""What the processes below this one have used: processor time and memory, from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields after the name in /proc/PID/stat (man 5 proc): times of the process and of its children
# that have ended, for user and system.
_PARENT, _TIMES = 1, slice(11, 15)


@dataclass(frozen=True)
class Cost:
    """Processor time of all processes together, and the sum of their peaks of resident memory."""

    cpu_s: float
    peak_mib: float


def cost_of_descendants() -> Cost:
    """Returns what all processes below this one have used until now."""
    stats = dict(_stats())
    found = {os.getpid()}
    while more := {pid for pid, stat in stats.items() if int(stat[_PARENT]) in found} - found:
        found |= more
    found.discard(os.getpid())
    ticks = sum(int(number) for pid in found for number in stats[pid][_TIMES])
    return Cost(ticks / _TICKS_PER_S, sum(peak_mib(pid) for pid in found))


def _stats() -> "list[tuple[int, list[str]]]":
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:  # it has ended meanwhile
                continue
            found.append((int(folder.name), text.rpartition(")")[2].split()))
    return found


def peak_mib(pid: int) -> float:
    """Returns the peak of resident memory of a process; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return sum(map(int, sizes)) / 1024
