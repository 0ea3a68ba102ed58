"""The periodic tasks of a worker that its configuration makes."""

from collections.abc import Callable, Iterator
from functools import partial

from node.app import App, utc_now
from node.dimse.tls.seen_certificates import FLUSH_SECONDS
from node.jobs.job_scheduling import JobScheduler
from node.jobs.workflow import Workflows
from node.processes.series_task import JOBS_TASK, SERIES_TASK, FindSeries
from node.runtime.heartbeat import Membership
from node.runtime.timers import Timers
from node.runtime.when_changed import WhenChanged, always_idle
from node.store import Store
from node.worklists.cancel_events import CancelEvents

_REPAIR_SECONDS = 20.0
_RETENTION_SECONDS = 60.0
_EVALUATION_SECONDS = 5.0
_SYSLOG_SECONDS = 2.0
# By then the leader of a new site is known.
_FIRST_QUERY_SECONDS = 10.0
# While nothing changes, a task looks for work at every tenth of its times only: for what is due by
# time, and for changes that nobody reports.
_IDLE_INTERVALS = 10

# A name, what looks for work, and whether it has none for now.
_WorkTask = tuple[str, Callable[[], None], Callable[[], bool]]


def add_tasks(
    timers: Timers,
    app: App,
    workflows: Workflows,
    store: Store,
    *,
    membership: Membership | None,
    version: Callable[[], int],
) -> tuple[str, ...]:
    """Adds the tasks of a configuration; with several workers, the leader alone runs most of them.

    `version` changes with the database. Returns the names of the tasks that look for work in it.
    """
    poll_s = app.settings.worker.poll_seconds
    scheduler = JobScheduler(
        store, workflows, app.steps.deliver, app.steps.commit, utc_now, app.early_runs.has
    )
    names = []
    for name, find_work, is_idle in _work_tasks(app, scheduler, timers):
        task = WhenChanged(find_work, version, _IDLE_INTERVALS * poll_s, is_idle)
        timers.add(name, poll_s, _for_leader(membership, task))
        names.append(name)
    for name, seconds, run_task in (
        ("repair", _REPAIR_SECONDS, scheduler.repair),
        ("retention", _RETENTION_SECONDS, app.retention.poll),
        ("audit retention", _RETENTION_SECONDS, app.audit_retention.poll),
        ("audit syslog", _SYSLOG_SECONDS, app.audit_forwarder.poll),
        ("feedback", _EVALUATION_SECONDS, app.feedback_comparer.poll),
        ("search index repair", _REPAIR_SECONDS, app.search_index.repair),
        ("counts", _REPAIR_SECONDS, store.sum_up_counts),
    ):
        timers.add(name, seconds, _for_leader(membership, run_task))
    timers.add("certificates", FLUSH_SECONDS, app.certificates.flush)
    # Each worker has free capacity of its own.
    timers.add("shadow runs", _EVALUATION_SECONDS, app.shadow_runner.poll)
    for name, query in app.queries.items():
        timers.add_with_first_run(
            f"query {name}",
            app.settings.queries[name].every_minutes * 60.0,
            _for_leader(membership, query.run),
            first_after_s=_FIRST_QUERY_SECONDS,
        )
    _add_worklist_tasks(timers, app, membership)
    app.monitoring.add_to(timers)
    return tuple(names)


def _work_tasks(app: App, scheduler: JobScheduler, timers: Timers) -> Iterator[_WorkTask]:
    completion, index, retriever = app.series_completion, app.search_index, app.retriever
    find_series = FindSeries(completion, app.early_start, timers, app.settings.worker.poll_seconds)
    yield SERIES_TASK, find_series, completion.is_idle
    yield JOBS_TASK, scheduler.poll, always_idle
    yield "settlements", scheduler.settle_commitments, always_idle
    yield "retrievals", retriever.refuse_unknown_sources, always_idle
    yield "commitments", app.commitment_reporter.poll, always_idle
    yield "search index", index.poll, index.is_idle
    for source in retriever.sources:
        yield f"retrievals from {source}", partial(retriever.poll, source), always_idle


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
