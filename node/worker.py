"""`python -m node.worker --config FILE`: decides, segments and delivers."""

import argparse
import fcntl
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from node.app import App, build
from node.domain.errors import Misconfigured, NodeError
from node.observe import configure_logging
from node.presence import Part, lock_of
from node.readiness import tell_ready
from node.settings import Settings, load_settings
from node.stop_signal import StopSignal
from node.supervisor import MISCONFIGURED_STATUS
from node.work.failures import Defect, attempt

_LOG = structlog.get_logger()
_REPAIR_SECONDS = 20.0
_RETENTION_SECONDS = 60.0
# A worker that was killed a moment ago lets go of its lock as soon as the system has ended it.
_LOCK_SECONDS = 10.0
_LOCK_POLL_SECONDS = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Work until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m node.worker", description=__doc__)
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
    # A look that takes longer than its interval leaves out the next; that is as it should be.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    stop = StopSignal()
    with _only_worker(settings.data_dir):
        app = build(settings)
        app.models.load(list(dict.fromkeys(rule.model for rule in settings.rules)))
        app.workflows.launch()
        scheduler = _schedule(app)
        scheduler.start()
        _LOG.info("worker.ready")
        tell_ready()
        stop.wait()
        _LOG.info("worker.stopping")
        scheduler.shutdown(wait=False)
        app.workflows.close()


def _schedule(app: App) -> BackgroundScheduler:
    """What the worker looks at, and how often."""
    scheduler = BackgroundScheduler(
        timezone="UTC", job_defaults={"coalesce": True, "misfire_grace_time": None}
    )
    often = app.settings.worker.poll_seconds
    for name, seconds, look in (
        ("series", often, app.series_watch.look),
        ("jobs", often, app.job_watch.look),
        ("retrievals", often, app.retriever.look),
        ("repair", _REPAIR_SECONDS, app.job_watch.repair),
        ("commitments", often, app.commitment_answers.look),
        ("retention", _RETENTION_SECONDS, app.retention.look),
    ):
        scheduler.add_job(_Look(name, look), "interval", seconds=seconds, id=name)
    return scheduler


@dataclass
class _Look:
    """A look that is taken again and again; a failure is told when it begins, not each time."""

    name: str
    look: Callable[[], None]
    _told: str = ""

    def __call__(self) -> None:
        failure = attempt(self.look)
        told = "" if failure is None else str(failure)
        if told != self._told and failure is not None:
            trace = failure.trace if isinstance(failure, Defect) else ""
            _LOG.error("look.failed", look=self.name, error=told, trace=trace)
        self._told = told


@contextmanager
def _only_worker(data_dir: Path) -> Iterator[None]:
    """Hold the data folder's worker lock.

    Raises:
        Misconfigured: another worker holds it.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    path = lock_of(Part.WORKER, data_dir)
    end = time.monotonic() + _LOCK_SECONDS
    pause = threading.Event()
    with path.open("wb") as lock:
        while not _locked(lock.fileno()):
            if time.monotonic() > end:
                raise Misconfigured(f"another worker uses {data_dir}", key="data_dir")
            pause.wait(_LOCK_POLL_SECONDS)
        yield


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # A model that is at work would keep the process for minutes; its job is taken up again.
    os._exit(status)
