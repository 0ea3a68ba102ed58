"""`python -m node.processes.worker --config FILE`: decides, segments and delivers."""

import argparse
import os
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

import structlog

from node.app import App, build
from node.domain.errors import Misconfigured, NodeError, Transient
from node.log import configure_logging
from node.processes.supervisor import MISCONFIGURED_STATUS
from node.runtime.heartbeat import BEAT_SECONDS, Membership, WorkerRemoved
from node.runtime.locks import lock_numbered_worker, lock_single_worker
from node.runtime.readiness import notify_ready
from node.runtime.signals import StopSignal
from node.runtime.timers import Looks
from node.settings import Settings, load_settings

_LOG = structlog.get_logger()
_REPAIR_SECONDS = 20.0
_RETENTION_SECONDS = 60.0
_CLOCK_SECONDS = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Work until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m node.processes.worker", description=__doc__)
    parser.add_argument("--config", type=Path, help="the configuration, TOML")
    options = parser.parse_args(arguments)
    try:
        run(load_settings(options.config))
    except Misconfigured as error:
        _LOG.error("worker.failed", error=str(error))
        return MISCONFIGURED_STATUS
    except NodeError as error:
        _LOG.error("worker.failed", error=str(error))
        return 1
    return 0


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        Misconfigured: a model, a secret or the database cannot be used.
        Transient: the database does not answer.
    """
    configure_logging(settings.log_level)
    stop = StopSignal()
    with _place(settings) as place:
        app = build(settings, place)
        app.store.files.remove_abandoned()
        app.models.load(list(dict.fromkeys(rule.model for rule in settings.rules)))
        if app.membership is not None:
            app.membership.join()
        app.workflows.launch()
        looks = _looks(app)
        looks.start()
        _LOG.info("worker.ready", place=place)
        notify_ready()
        while not stop.wait(_CLOCK_SECONDS):
            looks.handle_clock_change()
        _LOG.info("worker.stopping")
        looks.stop()
        app.workflows.close()
        if app.membership is not None:
            with suppress(Transient):  # then the others find out by themselves
                app.membership.leave()


def _place(settings: Settings) -> AbstractContextManager[str]:
    """Where this worker is among those of the site."""
    if settings.is_embedded:
        return lock_single_worker(settings.data_dir)
    return lock_numbered_worker(settings.data_dir, socket.gethostname())


def _looks(app: App) -> Looks:
    """What the worker looks at, and how often; of many workers, the one that leads."""
    often = app.settings.worker.poll_seconds
    membership = app.membership
    looks = Looks()
    for name, seconds, look in (
        ("series", often, app.series_completion.poll),
        ("jobs", often, app.job_scheduler.poll),
        ("settlements", often, app.job_scheduler.settle),
        ("retrievals", often, app.retriever.poll),
        ("repair", _REPAIR_SECONDS, app.job_scheduler.repair),
        ("commitments", often, app.commitment_answers.poll),
        ("retention", _RETENTION_SECONDS, app.retention.poll),
    ):
        alone = look if membership is None else partial(_if_leading, membership, look)
        looks.add(name, seconds, alone)
    if membership is not None:
        looks.add("beat", BEAT_SECONDS, partial(_beat, membership))
        looks.add("take_over", BEAT_SECONDS, partial(_take_over, app))
    return looks


def _if_leading(membership: Membership, look: Callable[[], None]) -> None:
    if membership.leads:
        look()


def _beat(membership: Membership) -> None:
    try:
        membership.beat()
    except WorkerRemoved:
        # What runs here may run elsewhere by now. The supervisor starts this worker anew.
        _LOG.critical("worker.was_given_up", worker=membership.name)
        os._exit(1)


def _take_over(app: App) -> None:
    if app.membership is not None and app.membership.leads:
        app.workflows.take_over([worker.name for worker in app.store.workers()])


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # A model that is at work would keep the process for minutes; its job is taken up again.
    os._exit(status)
