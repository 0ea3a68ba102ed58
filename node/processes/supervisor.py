"""`segnode serve`: supervises the listener, worker and web processes."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from node.domain.errors import Misconfigured, Transient
from node.log import configure_logging
from node.processes.configuration_file import ConfigurationFile
from node.processes.exit_status import MISCONFIGURED_STATUS, RESTART_STATUS
from node.processes.role_process import Role, RoleProcess, spawn
from node.runtime.service_manager import ServiceManager
from node.runtime.signals import StopSignal
from node.runtime.supervisor_file import REPORT_SECONDS, SupervisorFile, hold_supervisor_file
from node.settings import Settings, host_settings
from node.settings.location import refuse_unfinished_restore

_LOG = structlog.get_logger()
_POLL_SECONDS = 0.1
# The time until the next try where the system could not start a process.
_START_RETRY_SECONDS = 5.0
# After this run time a crash counts as the first one again.
_STABLE_SECONDS = 60.0
# The supervisor gives up on a node that crashes this often before it is ready, but never on one
# that was ready: the processes that still run are worth more than none.
_MAX_CRASHES_AT_START = 4
_STOP_SECONDS = 30.0
# Signs to the service manager within its time, so that a late one does no harm.
_SIGNS_PER_WATCHDOG_TIME = 3


class Supervisor:
    """Starts the node's processes, restarts crashed ones, and stops them all.

    Raises (at construction):
        Misconfigured: the configuration is wrong.
    """

    def __init__(
        self,
        config: Path | None,
        roles: Sequence[Role] = tuple(Role),
        manager: ServiceManager | None = None,
    ) -> None:
        self.settings: Settings = host_settings(config)
        self._manager = ServiceManager() if manager is None else manager
        self._file: SupervisorFile | None = None
        self._next_sign_at = 0.0
        self._next_report_at = 0.0
        self._config = config
        self._roles = tuple(roles)
        self._parts: list[RoleProcess] = []
        self._stopping = threading.Event()
        self._reload = threading.Event()
        self._failure = ""
        self._monitor = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._ready = threading.Event()

    @property
    def failure(self) -> str:
        """Why the supervisor gave up on the node; empty while it runs."""
        return self._failure

    def start(self, file: SupervisorFile | None = None) -> None:
        """Starts the processes and returns; see `wait_ready`. Reports their state to `file`."""
        self._file = file
        self._monitor.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Returns when every process is ready.

        Raises:
            Transient: the supervisor gave up on the node, or the timeout passed.
        """
        deadline = time.monotonic() + timeout_s
        while not self._ready.wait(_POLL_SECONDS):
            if self._failure:
                raise Transient(self._failure)
            if time.monotonic() > deadline:
                raise Transient(f"the node did not come up within {timeout_s:g} s")

    def wait(self, stop: StopSignal) -> None:
        """Returns on a stop signal, or when the supervisor gives up on the node."""
        while not stop.wait(_POLL_SECONDS) and not self._failure:
            if stop.reload_requested():
                self.reload()

    def reload(self) -> None:
        """Has every process read the configuration again, unless it has mistakes: these are logged.

        The processes go on with what they do.
        """
        file = ConfigurationFile(self._config)
        try:
            settings = host_settings(self._config)
        except Misconfigured as error:
            _LOG.error("configuration.not_used", error=str(error))
            file.record_mistakes(self.settings, error)
            return
        self._reload.set()
        file.record_use(settings)

    def stop(self) -> None:
        """Stops every process; the next start resumes unfinished work."""
        self._stopping.set()
        if self._monitor.is_alive():
            self._monitor.join()

    def _run(self) -> None:
        # Linux ties the parent-death signal to the thread that starts a process. This thread
        # therefore starts, restarts and stops all processes.
        try:
            self._start_all()
            self._supervise()
        except Exception as error:  # noqa: BLE001 any defect
            # Without this thread, nothing would start a process again.
            _LOG.exception("supervisor.failed")
            self._failure = f"the supervisor has failed: {error}"
        self._manager.notify_stopping()
        self._stop_all()

    def _start_all(self) -> None:
        """Starts every process; gives up on the node where one cannot be started."""
        for role in self._roles:
            try:
                self._parts.append(self._spawn(role))
            except OSError as error:
                self._failure = f"the {role} cannot be started: {error}"
                return

    def _supervise(self) -> None:
        """Keeps the processes running until the node is to stop, or cannot run."""
        waiting = set(self._roles)
        while not self._failure and not self._stopping.wait(_POLL_SECONDS):
            self._parts = [self._supervised(part) for part in self._parts]
            self._pass_on_reload()
            waiting -= {part.role for part in self._parts if part.is_ready}
            if not waiting and not self._ready.is_set():
                _LOG.info("node.ready")
                self._ready.set()
                self._manager.notify_ready()
            now = time.monotonic()
            self._watch(now)
            self._report(now)

    def _pass_on_reload(self) -> None:
        is_requested = self._reload.is_set()
        self._reload.clear()
        for part in self._parts:
            part.is_to_reload = part.is_to_reload or is_requested
            part.pass_on_reload()

    def _watch(self, now: float) -> None:
        """Logs processes that hang; while none does, gives signs to the service manager.

        A service manager without signs restarts the node.
        """
        for part in self._parts:
            hangs = part.hangs(now)
            if hangs and not part.is_silent:
                since = part.started_at if part.last_sign_at is None else part.last_sign_at
                _LOG.error("process.hangs", role=part.role.value, silent_s=round(now - since))
                self._manager.notify_status(f"the {part.role} hangs")
            elif part.is_silent and not hangs:
                _LOG.info("process.resumed", role=part.role.value)
                self._manager.notify_status("")
            part.is_silent = hangs
        watchdog_s = self._manager.watchdog_s
        if watchdog_s is None or now < self._next_sign_at:
            return
        if not any(part.is_silent for part in self._parts):
            self._next_sign_at = now + watchdog_s / _SIGNS_PER_WATCHDOG_TIME
            self._manager.send_sign()

    def _report(self, now: float) -> None:
        """Writes the state of the processes for `segnode health`."""
        if self._file is not None and now >= self._next_report_at:
            self._next_report_at = now + REPORT_SECONDS
            self._file.report([part.report(now) for part in self._parts])

    def _spawn(self, role: Role) -> RoleProcess:
        return spawn(role, self._config)

    def _supervised(self, part: RoleProcess) -> RoleProcess:
        """Checks one process: restarts it after a delay, or gives up on the node."""
        now = time.monotonic()
        part.read_signs(now)
        status = part.process.poll()
        if status is None:
            return part
        if status == RESTART_STATUS and part.restart_at is None:
            return self._restarted(part, crashes=0)
        if part.restart_at is None:
            was_stable = now - part.started_at > _STABLE_SECONDS
            part.crashes = 1 if was_stable else part.crashes + 1
            delay_s = part.restart_delay_s
            part.restart_at = now + delay_s
            _LOG.error("process.ended", role=part.role.value, status=status, restart_in_s=delay_s)
        cannot_run = status == MISCONFIGURED_STATUS or part.crashes >= _MAX_CRASHES_AT_START
        if cannot_run and not self._ready.is_set():
            self._failure = (
                f"the {part.role} cannot run (exit status {status}); its last lines say why"
            )
            return part
        if now < part.restart_at:
            return part
        return self._restarted(part, part.crashes)

    def _restarted(self, part: RoleProcess, crashes: int) -> RoleProcess:
        """Starts a process again; where the system cannot, the ended one stays until a later try.

        The system may lack memory or processes for a while, or a program while it is upgraded.
        """
        try:
            restarted = self._spawn(part.role)
        except OSError as error:
            part.restart_at = time.monotonic() + _START_RETRY_SECONDS
            _LOG.error(
                "process.not_started",
                role=part.role.value,
                error=str(error),
                restart_in_s=_START_RETRY_SECONDS,
            )
            return part
        os.close(part.pipe)
        restarted.crashes = crashes
        return restarted

    def _stop_all(self) -> None:
        for part in self._parts:
            if part.process.poll() is None:
                part.process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for part in self._parts:
            try:
                part.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()
            os.close(part.pipe)


def serve_until_stopped(config: Path | None, roles: Sequence[Role] = tuple(Role)) -> int:
    """Runs the node until SIGTERM or Ctrl-C; returns the exit status.

    Raises:
        Misconfigured: the configuration is wrong, or a backup is restored in part.
    """
    supervisor = Supervisor(config, roles, ServiceManager.from_environment())
    settings = supervisor.settings
    refuse_unfinished_restore(settings.data_dir)
    configure_logging(settings.log_level)
    stop = StopSignal()
    with hold_supervisor_file(settings.data_dir) as file:
        supervisor.start(file)
        ConfigurationFile(config).record_use(settings)
        _LOG.info(
            "node.started",
            roles=[role.value for role in roles],
            data_dir=str(settings.data_dir),
            **_addresses(settings),
        )
        supervisor.wait(stop)
        supervisor.stop()
    if supervisor.failure:
        _LOG.error("node.given_up", reason=supervisor.failure)
        return 1
    _LOG.info("node.stopped")
    return 0


def _addresses(settings: Settings) -> dict[str, str]:
    """The addresses for the log; where the database has them, the processes log them."""
    if settings.config == "database":
        return {"configuration": "database"}
    listener, web = settings.listener, settings.web
    return {
        "dicom": f"{listener.ae_title}@{listener.host}, {listener.ports_text}",
        "console": f"http{'s' if web.is_https else ''}://{web.host}:{web.port}/",
    }
