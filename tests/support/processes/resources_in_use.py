"""What a process has in use, as Linux tells it."""

from pathlib import Path


def memory_mib(pid: int) -> int:
    """Its memory now."""
    return int(_status(pid, "VmRSS").split()[0]) >> 10


def most_memory_mib(pid: int) -> int:
    """The most memory that it has had since it started."""
    return int(_status(pid, "VmHWM").split()[0]) >> 10


def threads(pid: int) -> int:
    """How many threads it runs."""
    return int(_status(pid, "Threads"))


def sockets(pid: int) -> int:
    """How many sockets it has open."""
    count = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += str(file.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed meanwhile
            continue
    return count


def _status(pid: int, name: str) -> str:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in text.splitlines() if line.startswith(f"{name}:"))
    return line.partition(":")[2]
