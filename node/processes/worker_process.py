"""The worker: decides, segments and delivers; `node.processes.worker` starts it."""

import os
import socket
import uuid
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from node.app import App, build, utc_now
from node.audit.losses import AuditLosses
from node.audit.process_records import recorded_process
from node.configuration.follower import POLL_SECONDS
from node.domain.errors import Transient
from node.jobs.workflow import Workflows
from node.processes.audit_losses import add_loss_report
from node.processes.entry_point import Host
from node.processes.worker_tasks import add_tasks
from node.runtime.heartbeat import HEARTBEAT_SECONDS, Membership, SingleWorker, WorkerRemoved
from node.runtime.locks import lock_numbered_worker, lock_single_worker
from node.runtime.machine import machine_status
from node.runtime.signals import StopSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store

_LOG = structlog.get_logger()
_CLOCK_SECONDS = 1.0
_STATUS_SECONDS = 15.0


def run(host: Host) -> None:
    """Works until SIGTERM or SIGINT.

    Raises:
        Misconfigured: a model, a secret or the database cannot be used.
        Transient: the database does not answer.
    """
    stop = StopSignal()
    with _worker_lock(host.settings) as slot:
        store = host.open_store()
        store.files.remove_abandoned()
        membership = None if host.settings.is_embedded else _membership(store, slot)
        worker = Worker(store, membership or SingleWorker(store, slot, utc_now), membership)
        if membership is None:
            worker.heartbeat.leave()
        losses = AuditLosses(host.settings.data_dir)
        add_loss_report(worker.timers, store, losses)
        with recorded_process(store.record_soon, slot, utc_now, losses):
            _work(host, worker, slot, stop)
        with suppress(Transient):  # the other workers then detect it by its heartbeat
            worker.heartbeat.leave()


def _work(host: Host, worker: "Worker", slot: str, stop: StopSignal) -> None:
    """Works until the signal; `slot` names the worker on this host."""
    supervisor = SupervisorPipe()
    follower = host.follower(worker.store, slot, stop.reload_requested, worker.use)
    follower.start()
    worker.heartbeat.join()
    worker.launch()
    _add_fixed_tasks(worker, supervisor)
    worker.timers.add("configuration", POLL_SECONDS, follower.poll)
    worker.timers.start()
    worker.changes.listen(worker.find_work)
    _LOG.info("worker.ready", slot=slot)
    supervisor.send_sign()
    while not stop.wait(_CLOCK_SECONDS):
        worker.timers.handle_clock_change()
    _LOG.info("worker.stopping")
    worker.changes.close()
    worker.timers.stop()
    worker.close()


def _worker_lock(settings: Settings) -> AbstractContextManager[str]:
    """The lock of this worker; it yields the worker's slot name."""
    if settings.is_embedded:
        return lock_single_worker(settings.data_dir)
    return lock_numbered_worker(settings.data_dir, socket.gethostname())


def _membership(store: Store, slot: str) -> Membership:
    return Membership(store, f"{slot}:{uuid.uuid4().hex[:8]}", slot, utc_now)


@dataclass
class Worker:
    """What stays while the worker runs, and the components that its configuration makes.

    `membership` is None for a single worker.
    """

    store: Store
    heartbeat: Membership | SingleWorker
    membership: Membership | None
    timers: Timers = field(default_factory=Timers)
    device: str = ""
    _task_names: tuple[str, ...] = ()
    _app: App | None = None
    _workflows: Workflows | None = None

    def __post_init__(self) -> None:
        self.changes = self.store.changes()

    def find_work(self) -> None:
        """Runs soon the tasks that look for work in the database."""
        for name in self._task_names:
            self.timers.run_soon(name)

    def use(self, settings: Settings) -> None:
        """Switches to other settings: jobs that run end with the components that they have.

        Raises:
            Misconfigured: a model or a secret is missing; the worker stays as it is.
            InferenceError: a model cannot be loaded; the worker stays as it is.
            Transient: the database does not answer; the worker stays as it is.
        """
        current = self._app
        app = build(settings, self.store, self.heartbeat.name, current)
        try:
            device = app.models.load(app.wanted_models)
            workflows = self._workflows_with(app)
        except BaseException:
            if current is None or app.models is not current.models:
                app.models.close()
            raise
        self._app, self._workflows = app, workflows
        self.device = device or settings.worker.device
        with self.timers.replacing():
            self._task_names = add_tasks(
                self.timers,
                app,
                workflows,
                self.store,
                membership=self.membership,
                version=self.changes.version,
            )
        if current is not None:
            _retire(current, app)

    def _workflows_with(self, app: App) -> Workflows:
        """Returns the workflows, which from now on start with the steps of `app`."""
        steps = app.steps
        if self._workflows is None:
            return Workflows(steps.segment, steps.deliver, steps.commit, app.engine)
        self._workflows.use(steps, app.engine)
        return self._workflows

    def launch(self) -> None:
        """Starts the workflows: unfinished jobs resume."""
        if self._workflows is not None:
            self._workflows.launch()

    def close(self) -> None:
        """Stops the workflows; the next start resumes them."""
        if self._workflows is not None:
            self._workflows.close()

    def take_over(self) -> None:
        """As the leader, reassigns the work of workers that are gone."""
        membership, workflows = self.membership, self._workflows
        if membership is not None and membership.leads and workflows is not None:
            workflows.take_over([worker.name for worker in self.store.workers()])


def _retire(old: App, new: App) -> None:
    """Ends what only the old configuration used."""
    for worklist in old.worklists.values():
        if worklist.events is not None:
            worklist.events.close()
    if old.early_runs is not new.early_runs:
        old.early_runs.discard_all()
    if old.models is not new.models:
        old.models.retire()


def _add_fixed_tasks(worker: Worker, supervisor: SupervisorPipe) -> None:
    """Adds the tasks that no configuration changes.

    The signs to the supervisor need nothing but working timers.
    """
    timers, heartbeat = worker.timers, worker.heartbeat
    timers.add("heartbeat", HEARTBEAT_SECONDS, partial(_send_heartbeat, heartbeat))
    if worker.membership is not None:
        timers.add("takeover", HEARTBEAT_SECONDS, worker.take_over)
    timers.add("signs of life", SIGN_SECONDS, supervisor.send_sign)

    def report() -> None:
        worker.store.record_machine_status(heartbeat.name, machine_status(worker.device))

    timers.add_with_first_run("machine status", _STATUS_SECONDS, report, first_after_s=0.0)


def _send_heartbeat(heartbeat: Membership | SingleWorker) -> None:
    try:
        heartbeat.send_heartbeat()
    except WorkerRemoved:
        # Other workers may run this worker's jobs by now. The supervisor restarts it.
        _LOG.critical("worker.removed", worker=heartbeat.name)
        os._exit(1)
