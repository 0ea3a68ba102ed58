"""`python -m node.processes.worker --config FILE`: decides, segments and delivers."""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial

import structlog

from node.app import App, build
from node.domain.errors import Transient
from node.processes.entry_point import run_process
from node.runtime.heartbeat import HEARTBEAT_SECONDS, Membership, SingleWorker, WorkerRemoved
from node.runtime.locks import lock_numbered_worker, lock_single_worker
from node.runtime.machine import machine_status
from node.runtime.signals import StopSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.worklists.cancel_events import CancelEvents

_LOG = structlog.get_logger()
_REPAIR_SECONDS = 20.0
_RETENTION_SECONDS = 60.0
_CLOCK_SECONDS = 1.0
_STATUS_SECONDS = 15.0
# By then the leader of a new site is known.
_FIRST_QUERY_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Works until SIGTERM or SIGINT; returns the exit status."""
    return run_process("worker", "node.processes.worker", __doc__, run, arguments)


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT.

    Raises:
        Misconfigured: a model, a secret or the database cannot be used.
        Transient: the database does not answer.
    """
    stop = StopSignal()
    supervisor = SupervisorPipe()
    with _worker_lock(settings) as slot:
        app = build(settings, slot)
        app.store.files.remove_abandoned()
        if app.membership is None:
            app.heartbeat.leave()
        device = app.models.load(list(dict.fromkeys(rule.model for rule in settings.rules)))
        app.heartbeat.join()
        app.workflows.launch()
        timers = _timers(app)
        _add_signs_of_life(timers, app, supervisor, device or settings.worker.device)
        timers.start()
        _LOG.info("worker.ready", slot=slot)
        supervisor.send_sign()
        while not stop.wait(_CLOCK_SECONDS):
            timers.handle_clock_change()
        _LOG.info("worker.stopping")
        timers.stop()
        app.workflows.close()
        with suppress(Transient):  # the other workers then detect it by its heartbeat
            app.heartbeat.leave()


def _worker_lock(settings: Settings) -> AbstractContextManager[str]:
    """The lock of this worker; it yields the worker's slot name."""
    if settings.is_embedded:
        return lock_single_worker(settings.data_dir)
    return lock_numbered_worker(settings.data_dir, socket.gethostname())


def _timers(app: App) -> Timers:
    """The periodic tasks; with several workers, the leader alone runs the shared ones."""
    poll_s = app.settings.worker.poll_seconds
    membership = app.membership
    retriever = app.retriever
    timers = Timers()
    for name, seconds, run_task in (
        ("series", poll_s, app.series_completion.poll),
        ("jobs", poll_s, app.job_scheduler.poll),
        ("settlements", poll_s, app.job_scheduler.settle_commitments),
        ("retrievals", poll_s, retriever.refuse_unknown_sources),
        ("repair", _REPAIR_SECONDS, app.job_scheduler.repair),
        ("commitments", poll_s, app.commitment_reporter.poll),
        ("retention", _RETENTION_SECONDS, app.retention.poll),
        ("search index", poll_s, app.search_index.poll),
        ("search index repair", _REPAIR_SECONDS, app.search_index.repair),
    ):
        timers.add(name, seconds, _for_leader(membership, run_task))
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
    for name, worklist in app.worklists.items():
        search_s = app.settings.worklists[name].poll_seconds
        timers.add(f"worklist {name}", search_s, _for_leader(membership, worklist.poll_server))
        perform = _for_leader(membership, worklist.performer.poll)
        timers.add(f"work items of {name}", poll_s, perform)
        if worklist.events is not None:
            listen = partial(_listen_if_leader, membership, worklist.events)
            timers.add(f"events of {name}", poll_s, listen)
    timers.add("heartbeat", HEARTBEAT_SECONDS, partial(_send_heartbeat, app.heartbeat))
    if membership is not None:
        timers.add("takeover", HEARTBEAT_SECONDS, partial(_take_over, app))
    app.monitoring.add_to(timers)
    return timers


def _add_signs_of_life(timers: Timers, app: App, supervisor: SupervisorPipe, device: str) -> None:
    """Adds the signs to the supervisor, which need nothing but working timers, and the status."""
    timers.add("signs of life", SIGN_SECONDS, supervisor.send_sign)

    def report() -> None:
        app.store.record_machine_status(app.heartbeat.name, machine_status(device))

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


def _take_over(app: App) -> None:
    if app.membership is not None and app.membership.leads:
        app.workflows.take_over([worker.name for worker in app.store.workers()])


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # A running model would keep the process for minutes; its job is resumed at the next start.
    os._exit(status)
