"""`segnode serve`: listener, worker and web as processes of their own under one supervisor."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from node.domain.errors import Transient
from node.log import configure_logging
from node.runtime.readiness import READY_VARIABLE
from node.runtime.signals import StopSignal
from node.settings import Settings, load_settings

_LOG = structlog.get_logger()
_POLL_SECONDS = 0.1
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# A process that ran so long was in order; its next fall is a new story.
_STEADY_SECONDS = 60.0
# A node that has not come up yet is given up after so many falls; later it is never given up, as
# the parts that still run are worth more than none.
_MOST_FALLS_AT_START = 4
# The exit status of a process whose configuration is wrong: starting it again will not help.
MISCONFIGURED_STATUS = 2
_STOP_SECONDS = 30.0


class Role(StrEnum):
    """A part of the node that is a process of its own."""

    LISTENER = "listener"
    WORKER = "worker"
    WEB = "web"


MODULES = {
    Role.LISTENER: "pacs_listener",
    Role.WORKER: "node.processes.worker",
    Role.WEB: "node.processes.web",
}


@dataclass
class _Part:
    """One role's process, and how often it has fallen in a row."""

    role: Role
    process: subprocess.Popen[bytes]
    ready_pipe: int  # the process writes to its other end once it works
    started_at: float
    falls: int = 0
    restart_at: float | None = None


class Supervisor:
    """Starts the node's processes, restarts what falls, and stops them all.

    Raises (at construction):
        Misconfigured: the configuration is wrong.
    """

    def __init__(self, config: Path | None, roles: Sequence[Role] = tuple(Role)) -> None:
        self.settings: Settings = load_settings(config)
        self._config = config
        self._roles = tuple(roles)
        self._parts: list[_Part] = []
        self._stopping = threading.Event()
        self._failure = ""
        self._monitor = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._ready = threading.Event()

    @property
    def failure(self) -> str:
        """Why the node was given up; empty as long as it was not."""
        return self._failure

    def start(self) -> None:
        """Start the processes and return; see `wait_ready`."""
        self._monitor.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Return once every process does its work.

        Raises:
            Transient: one was given up, or the time is over.
        """
        end = time.monotonic() + timeout_s
        while not self._ready.wait(_POLL_SECONDS):
            if self._failure:
                raise Transient(self._failure)
            if time.monotonic() > end:
                raise Transient(f"the node did not come up within {timeout_s:g} s")

    def wait(self, stop: StopSignal) -> None:
        """Return when the process is told to stop, or the node was given up."""
        while not stop.wait(_POLL_SECONDS) and not self._failure:
            pass

    def pids(self) -> dict[Role, int]:
        """The process of each role."""
        return {part.role: part.process.pid for part in self._parts}

    def stop(self) -> None:
        """Stop every process; what they had under way goes on at the next start."""
        self._stopping.set()
        if self._monitor.is_alive():
            self._monitor.join()

    def _run(self) -> None:
        # The thread that starts a process has to outlive it: Linux ties "die with the parent" to
        # the thread. So this one starts, restarts and stops them all.
        self._parts = [self._spawn(role) for role in self._roles]
        waiting = set(self._roles)
        while not self._failure and not self._stopping.wait(_POLL_SECONDS):
            self._parts = [self._looked_after(part) for part in self._parts]
            asked = [part for part in self._parts if part.role in waiting]
            waiting -= {part.role for part in asked if self._is_ready(part)}
            if not waiting and not self._ready.is_set():
                _LOG.info("node.ready")
                self._ready.set()
        self._stop_all()

    def _spawn(self, role: Role) -> _Part:
        reading, writing = os.pipe()
        # -P: a folder named `models` where the node is started must not stand in for our package.
        python = [sys.executable, "-P", "-m"]
        command = [*python, "node.processes.child_process", str(os.getpid()), MODULES[role]]
        if self._config is not None:
            command += ["--config", str(self._config)]
        environment = os.environ | {READY_VARIABLE: str(writing)}
        try:
            # A process group of its own: Ctrl-C in a terminal is for us to pass on.
            process = subprocess.Popen(
                command,
                env=environment,
                pass_fds=[writing],
                process_group=0,
                stdin=subprocess.DEVNULL,
            )
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        return _Part(role, process, reading, time.monotonic())

    def _looked_after(self, part: _Part) -> _Part:
        """The part as it is now: restarted when its time has come, given up when it must be."""
        status = part.process.poll()
        if status is None:
            return part
        now = time.monotonic()
        if part.restart_at is None:
            steady = now - part.started_at > _STEADY_SECONDS
            part.falls = 1 if steady else part.falls + 1
            pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (part.falls - 1))
            part.restart_at = now + pause
            _LOG.error("process.fell", role=part.role.value, status=status, restart_in_s=pause)
        hopeless = status == MISCONFIGURED_STATUS or part.falls >= _MOST_FALLS_AT_START
        if hopeless and not self._ready.is_set():
            self._failure = (
                f"the {part.role} cannot run (exit status {status}); its last lines say why"
            )
            return part
        if now < part.restart_at:
            return part
        os.close(part.ready_pipe)
        again = self._spawn(part.role)
        again.falls = part.falls
        return again

    def _is_ready(self, part: _Part) -> bool:
        # Not by trying its port: there, another program may listen that keeps ours from it.
        try:
            return bool(os.read(part.ready_pipe, 1))
        except BlockingIOError:
            return False

    def _stop_all(self) -> None:
        for part in self._parts:
            if part.process.poll() is None:
                part.process.terminate()
        end = time.monotonic() + _STOP_SECONDS
        for part in self._parts:
            try:
                part.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()
            os.close(part.ready_pipe)


def serve_until_stopped(config: Path | None, roles: Sequence[Role] = tuple(Role)) -> int:
    """Run the node until SIGTERM or Ctrl-C; the exit status.

    Raises:
        Misconfigured: the configuration is wrong.
    """
    supervisor = Supervisor(config, roles)
    settings = supervisor.settings
    configure_logging(settings.log_level)
    stop = StopSignal()
    supervisor.start()
    _LOG.info(
        "node.started",
        roles=[role.value for role in roles],
        dicom=f"{settings.listener.ae_title}@{settings.listener.host}:{settings.listener.port}",
        console=f"http://{settings.web.host}:{settings.web.port}/",
        data_dir=str(settings.data_dir),
    )
    supervisor.wait(stop)
    supervisor.stop()
    if supervisor.failure:
        _LOG.error("node.given_up", reason=supervisor.failure)
        return 1
    _LOG.info("node.stopped")
    return 0
