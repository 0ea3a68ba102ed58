"""The process of one role of the node, as its supervisor sees it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.runtime.supervisor_file import ProcessReport, ProcessState
from node.runtime.supervisor_pipe import PIPE_VARIABLE, SIGN_SECONDS

_PIPE_BYTES = 4096
_MAX_SILENCE_SECONDS = 10 * SIGN_SECONDS
_FIRST_RESTART_DELAY_SECONDS = 0.5
_MAX_RESTART_DELAY_SECONDS = 30.0
# A process that starts gives no signs; loading a model from a slow disk takes minutes.
_MAX_START_SECONDS = 900.0


class Role(StrEnum):
    """A role of the node, run as its own process."""

    LISTENER = "listener"
    WORKER = "worker"
    WEB = "web"


MODULES = {
    Role.LISTENER: "pacs_listener",
    Role.WORKER: "node.processes.worker",
    Role.WEB: "node.processes.web",
}


@dataclass
class RoleProcess:
    """The process of one role, and its number of crashes in a row."""

    role: Role
    process: subprocess.Popen[bytes]
    pipe: int  # the process writes signs of life to the other end, from when it is ready
    started_at: float
    crashes: int = 0
    restart_at: float | None = None
    last_sign_at: float | None = None
    is_silent: bool = False  # its silence has been logged
    is_to_reload: bool = False

    def read_signs(self, now: float) -> None:
        """Reads the signs of life that have arrived."""
        # A probe of its port could reach another program that listens there.
        with suppress(BlockingIOError):
            if os.read(self.pipe, _PIPE_BYTES):
                self.last_sign_at = now

    def pass_on_reload(self) -> None:
        """Sends a request to reload once the process can handle it."""
        if self.is_to_reload and self.is_ready and self.process.poll() is None:
            self.is_to_reload = False
            self.process.send_signal(signal.SIGHUP)

    @property
    def is_ready(self) -> bool:
        """Whether it has been ready since it started."""
        return self.last_sign_at is not None

    @property
    def restart_delay_s(self) -> float:
        """The delay before it starts again; none after the first crash once it was ready."""
        if self.crashes == 1 and self.is_ready:
            return 0.0
        delay_s = _FIRST_RESTART_DELAY_SECONDS * 2.0 ** (self.crashes - 1)
        return min(_MAX_RESTART_DELAY_SECONDS, delay_s)

    def report(self, now: float) -> ProcessReport:
        """The state of the process, for `segnode health`."""
        silent_since = self.started_at if self.last_sign_at is None else self.last_sign_at
        if self.restart_at is not None:
            state, since = ProcessState.ENDED, silent_since
        elif self.hangs(now):
            state, since = ProcessState.HANGING, silent_since
        elif self.is_ready:
            state, since = ProcessState.WORKING, self.started_at
        else:
            state, since = ProcessState.STARTING, self.started_at
        return ProcessReport(self.role.value, state, now - since)

    def hangs(self, now: float) -> bool:
        """Whether it has given no sign for too long; one that ended is restarted instead."""
        if self.restart_at is not None:
            return False
        if self.last_sign_at is None:
            return now - self.started_at > _MAX_START_SECONDS
        return now - self.last_sign_at > _MAX_SILENCE_SECONDS


def spawn(role: Role, config: Path | None) -> RoleProcess:
    """Starts the process of a role; it ends with this thread."""
    reading, writing = os.pipe()
    # -P: a folder named `models` in the working directory must not shadow our package.
    python = [sys.executable, "-P", "-m"]
    command = [*python, "node.processes.child_process", str(os.getpid()), MODULES[role]]
    if config is not None:
        command += ["--config", str(config)]
    environment = os.environ | {PIPE_VARIABLE: str(writing)}
    try:
        # Its own process group: the supervisor passes on Ctrl-C.
        process = subprocess.Popen(
            command,
            env=environment,
            pass_fds=[writing],
            process_group=0,
            stdin=subprocess.DEVNULL,
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    os.set_blocking(reading, False)
    return RoleProcess(role, process, reading, time.monotonic())
