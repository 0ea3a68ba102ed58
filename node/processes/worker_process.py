"""The worker: decides, segments and delivers; `node.processes.worker` starts it."""

import os
import socket
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from node.app import App, build, utc_now
from node.audit.losses import AuditLosses
from node.audit.process_records import recorded_process
from node.configuration.follower import POLL_SECONDS
from node.dimse.tls.seen_certificates import FLUSH_SECONDS
from node.domain.errors import Transient
from node.jobs.job_scheduling import JobScheduler
from node.jobs.workflow import Workflows
from node.processes.audit_losses import add_loss_report
from node.processes.entry_point import Host
from node.runtime.heartbeat import HEARTBEAT_SECONDS, Membership, SingleWorker, WorkerRemoved
from node.runtime.locks import lock_numbered_worker, lock_single_worker
from node.runtime.machine import machine_status
from node.runtime.signals import StopSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store
from node.worklists.cancel_events import CancelEvents

_LOG = structlog.get_logger()
_REPAIR_SECONDS = 20.0
_RETENTION_SECONDS = 60.0
_EVALUATION_SECONDS = 5.0
_SYSLOG_SECONDS = 2.0
_CLOCK_SECONDS = 1.0
_STATUS_SECONDS = 15.0
# By then the leader of a new site is known.
_FIRST_QUERY_SECONDS = 10.0


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
    _LOG.info("worker.ready", slot=slot)
    supervisor.send_sign()
    while not stop.wait(_CLOCK_SECONDS):
        worker.timers.handle_clock_change()
    _LOG.info("worker.stopping")
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
    _app: App | None = None
    _workflows: Workflows | None = None

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
            _add_tasks(self.timers, app, workflows, self.store, self.membership)
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
    if old.models is not new.models:
        old.models.retire()


def _add_tasks(
    timers: Timers, app: App, workflows: Workflows, store: Store, membership: Membership | None
) -> None:
    """Adds the tasks of a configuration; with several workers, the leader alone runs them."""
    poll_s = app.settings.worker.poll_seconds
    retriever = app.retriever
    scheduler = JobScheduler(store, workflows, app.steps.deliver, app.steps.commit, utc_now)
    for name, seconds, run_task in (
        ("series", poll_s, app.series_completion.poll),
        ("jobs", poll_s, scheduler.poll),
        ("settlements", poll_s, scheduler.settle_commitments),
        ("retrievals", poll_s, retriever.refuse_unknown_sources),
        ("repair", _REPAIR_SECONDS, scheduler.repair),
        ("commitments", poll_s, app.commitment_reporter.poll),
        ("retention", _RETENTION_SECONDS, app.retention.poll),
        ("audit retention", _RETENTION_SECONDS, app.audit_retention.poll),
        ("audit syslog", _SYSLOG_SECONDS, app.audit_forwarder.poll),
        ("feedback", _EVALUATION_SECONDS, app.feedback_comparer.poll),
        ("search index", poll_s, app.search_index.poll),
        ("search index repair", _REPAIR_SECONDS, app.search_index.repair),
    ):
        timers.add(name, seconds, _for_leader(membership, run_task))
    timers.add("certificates", FLUSH_SECONDS, app.certificates.flush)
    # Each worker has free capacity of its own.
    timers.add("shadow runs", _EVALUATION_SECONDS, app.shadow_runner.poll)
    for source in retriever.sources:
        poll_source = _for_leader(membership, partial(retriever.poll, source))
        timers.add(f"retrievals from {source}", poll_s, poll_source)
    for name, query in app.queries.items():
        timers.add_with_first_run(
            f"query {name}",
            app.settings.queries[name].every_minutes * 60.0,
            _for_leader(membership, query.run),
            first_after_s=_FIRST_QUERY_SECONDS,
        )
    _add_worklist_tasks(timers, app, membership)
    app.monitoring.add_to(timers)


def _add_worklist_tasks(timers: Timers, app: App, membership: Membership | None) -> None:
    poll_s = app.settings.worker.poll_seconds
    for name, worklist in app.worklists.items():
        search_s = app.settings.worklists[name].poll_seconds
        timers.add(f"worklist {name}", search_s, _for_leader(membership, worklist.poll_server))
        perform = _for_leader(membership, worklist.performer.poll)
        timers.add(f"work items of {name}", poll_s, perform)
        if worklist.events is not None:
            listen = partial(_listen_if_leader, membership, worklist.events)
            timers.add(f"events of {name}", poll_s, listen)


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


def _for_leader(membership: Membership | None, run_task: Callable[[], None]) -> Callable[[], None]:
    return run_task if membership is None else partial(_run_if_leader, membership, run_task)


def _run_if_leader(membership: Membership, run_task: Callable[[], None]) -> None:
    if membership.leads:
        run_task()


def _listen_if_leader(membership: Membership | None, events: CancelEvents) -> None:
    """Receives events; a worker that is no longer the leader leaves them to the new one."""
    if membership is None or membership.leads:
        events.poll()
    else:
        events.close()


def _send_heartbeat(heartbeat: Membership | SingleWorker) -> None:
    try:
        heartbeat.send_heartbeat()
    except WorkerRemoved:
        # Other workers may run this worker's jobs by now. The supervisor restarts it.
        _LOG.critical("worker.removed", worker=heartbeat.name)
        os._exit(1)
