"""The state of a worker's machine: host, device and memory."""

import re
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

from node.store.site.workers import MachineStatus

_MEMORY = Path("/proc/meminfo")
_KIB, _MIB = 1 << 10, 1 << 20
_QUERY_SECONDS = 10.0


def machine_status(device: str) -> MachineStatus:
    """Returns the state now; `device` is the name of the device that the models run on.

    Memory is None where the system does not report it.
    """
    total, available = _memory()
    device_total, device_used = _device_memory(device)
    return MachineStatus(
        host=socket.gethostname(),
        device=device,
        memory_total_bytes=total,
        memory_available_bytes=available,
        device_memory_total_bytes=device_total,
        device_memory_used_bytes=device_used,
    )


def _memory() -> tuple[int | None, int | None]:
    """Returns total and available memory in bytes."""
    with suppress(OSError):
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _MEMORY.read_text(), re.MULTILINE))
        if "MemTotal" in found and "MemAvailable" in found:
            return int(found["MemTotal"]) * _KIB, int(found["MemAvailable"]) * _KIB
    return None, None


def _device_memory(device: str) -> tuple[int | None, int | None]:
    """Returns total and used memory of an NVIDIA GPU in bytes."""
    number = re.search(r"\(cuda:(\d+)\)", device)
    program = shutil.which("nvidia-smi")
    if number is None or program is None:
        return None, None
    query = "--query-gpu=memory.total,memory.used"
    command = [program, f"--id={number[1]}", query, "--format=csv,noheader,nounits"]
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_QUERY_SECONDS
        )
        total, used = (int(text) for text in answer.stdout.strip().split(","))
        return total * _MIB, used * _MIB
    return None, None
