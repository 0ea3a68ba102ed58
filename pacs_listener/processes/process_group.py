"""Starts the listener processes, restarts those that end, and stops them all.

One process opens the ports and forks the others, which accept from the same sockets. It serves no
sender. A connection waits in the system until one of the processes accepts it, so that the end of
one of them affects its own associations alone. Forked processes share the memory of the imports.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from node.domain.errors import Transient
from node.processes.child_process import exit_with_parent
from node.processes.entry_point import RestartNeeded
from node.processes.exit_status import RESTART_STATUS
from node.runtime.signals import StopSignal
from node.runtime.supervisor_pipe import PIPE_VARIABLE, SIGN_SECONDS, SupervisorPipe
from pacs_listener.processes.share import ListenerShare

_LOG = structlog.get_logger()
_POLL_S = 0.2
_FIRST_DELAY_S, _MAX_DELAY_S = 0.5, 30.0
# After this run time the end of a process counts as the first one again.
_STABLE_S = 60.0
_MAX_SILENCE_S = 10 * SIGN_SECONDS
# Longer than the associations get to end, and shorter than the supervisor waits.
_STOP_S = 25.0
_PIPE_BYTES = 4096
# Runs one process with its share until it is to stop; returns the exit status.
Serve = Callable[[ListenerShare], int]


@dataclass
class _Member:
    """One process; `pid` is None from its end until it is started again at `start_at`."""

    number: int
    pid: int | None = None
    pipe: int = -1
    started_at: float = 0.0
    sign_at: float | None = None
    failures: int = 0
    start_at: float = 0.0

    def works(self, now: float) -> bool:
        """Whether it has given signs of life, the last one not long ago."""
        return self.sign_at is not None and now - self.sign_at < _MAX_SILENCE_S


class ProcessGroup:
    """The listener processes of a share; `serve` runs in each of them."""

    def __init__(self, share: ListenerShare, serve: Serve) -> None:
        self._share = share
        self._serve = serve
        self._members = [_Member(number) for number in range(share.limits.processes)]
        self._was_ready = False
        self._restarts = False

    def run(self, stop: StopSignal, supervisor: SupervisorPipe) -> None:
        """Runs the processes until a signal to stop.

        Raises:
            Transient: a process ended before all were ready.
            RestartNeeded: the processes have ended because another address is configured.
        """
        # A handler, so that the end of a process ends the wait.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        next_sign_at = 0.0
        try:
            while not self._is_over() and not stop.wait(_POLL_S):
                now = time.monotonic()
                for member in self._members:
                    self._supervise(member, now)
                if stop.reload_requested():
                    self._send(signal.SIGHUP)
                if now >= next_sign_at and self._all_work(now):
                    supervisor.send_sign()
                    next_sign_at = now + SIGN_SECONDS
        finally:
            self._stop_all()
        if self._restarts:
            raise RestartNeeded

    def _is_over(self) -> bool:
        """Whether every process has ended to start again with another address."""
        return self._restarts and all(member.pid is None for member in self._members)

    def _all_work(self, now: float) -> bool:
        # One that is started again has ended, which is logged; the others receive meanwhile.
        running = [member for member in self._members if member.pid is not None]
        works = bool(running) and all(member.works(now) for member in running)
        self._was_ready = self._was_ready or (works and len(running) == len(self._members))
        started = [member for member in running if member.sign_at is not None]
        return self._was_ready and bool(started) and all(member.works(now) for member in started)

    def _supervise(self, member: _Member, now: float) -> None:
        """Reads the signs of one process; starts it where it has ended."""
        if member.pid is None:
            if not self._restarts and now >= member.start_at:
                self._start(member, now)
            return
        with suppress(BlockingIOError):
            if os.read(member.pipe, _PIPE_BYTES):
                member.sign_at = now
        ended, wait_status = os.waitpid(member.pid, os.WNOHANG)
        if ended:
            self._note_end(member, os.waitstatus_to_exitcode(wait_status), now)

    def _note_end(self, member: _Member, status: int, now: float) -> None:
        os.close(member.pipe)
        member.pid = None
        # Its associations have ended.
        self._share.limits.of_process(member.number)
        if status == RESTART_STATUS:
            self._restarts = True
            return
        if not self._was_ready:
            raise Transient(f"a listener process ended with status {status}; see its last lines")
        member.failures = 1 if now - member.started_at > _STABLE_S else member.failures + 1
        delay_s = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2 ** (member.failures - 1))
        member.start_at = now + delay_s
        _LOG.error(
            "listener.process_ended",
            number=member.number,
            status=status,
            restart_in_s=delay_s,
        )

    def _start(self, member: _Member, now: float) -> None:
        """Forks one process; this one has a single thread and no connection to the database."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _run_forked(lambda: self._serve(self._share.of_process(member.number)), parent, writing)
        os.close(writing)
        member.pid, member.pipe, member.started_at, member.sign_at = pid, reading, now, None

    def _send(self, number: signal.Signals) -> None:
        for member in self._members:
            if member.pid is not None:
                os.kill(member.pid, number)

    def _stop_all(self) -> None:
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for member in self._members:
            if member.pid is None:
                continue
            while os.waitpid(member.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(member.pid, signal.SIGKILL)
                time.sleep(_POLL_S / 10)
            os.close(member.pipe)
            member.pid = None
        self._share.close()


def _run_forked(serve: Callable[[], int], parent: int, pipe: int) -> None:
    """Runs a forked process to its end; does not return."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it has read its configuration
        exit_with_parent(parent)
        os.environ[PIPE_VARIABLE] = str(pipe)
        status = serve()
    finally:
        sys.stderr.flush()
        os._exit(status)
