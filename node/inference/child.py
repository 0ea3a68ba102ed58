"""The inference process: `python -m node.inference.child DESCRIPTOR` answers the worker's calls."""

import gc
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from node.domain.errors import Misconfigured, Rejected, Transient
from node.inference.process import ErrorReport
from node.inference.spawned_child import IMPORT_EARLY
from node.jobs.inference import RunStopped
from node.log import configure_logging

# When memory runs out, Linux kills this process before those that receive and deliver.
_OOM_SCORE_ADJ = "500"


def main(descriptor: int, *options: str) -> None:
    """Answers the worker at the other end of the pipe until it closes the pipe."""
    # A service manager that signals all processes of the service would make the running job fail;
    # this process ends with the worker instead.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ, encoding="ascii")
    if IMPORT_EARLY in options:
        _import_predictor()
    with Connection(descriptor) as worker, suppress(EOFError):
        models, log_level = worker.recv()
        configure_logging(log_level)
        while True:
            method, arguments = worker.recv()
            worker.send(_result_or_error(getattr(models, method), arguments))
            if not gc.isenabled():  # the first call loaded a model, and imported what stays
                if IMPORT_EARLY in options:
                    _import_job_run()  # after the answer: the worker is ready sooner
                gc.freeze()
                gc.enable()


def _import_predictor() -> None:
    """Imports what loading a model needs."""
    import models.inference.predictor  # noqa: F401 as the line above


def _import_job_run() -> None:
    """Imports what running a job needs besides, so that the first job does not wait for it."""
    import node.inference.job_run  # noqa: F401 as the line above


def _result_or_error(method: Callable[..., object], arguments: Sequence[object]) -> object:
    try:
        return method(*arguments)
    except Rejected as error:
        return ErrorReport(str(error), "", reason=error.reason)
    except Transient as error:
        return ErrorReport(str(error), "", is_transient=True)
    except RunStopped as error:
        return ErrorReport(str(error), "", is_stopped=True)
    except Misconfigured as error:
        return ErrorReport(str(error), "", is_misconfigured=True)
    except Exception as error:  # noqa: BLE001 the worker decides what follows
        return ErrorReport(f"{type(error).__name__}: {error}", traceback.format_exc())


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
