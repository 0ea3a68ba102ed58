"""`python -m node.inference.child DESCRIPTOR`: runs the models for the worker that started it."""

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from node.domain.errors import Misconfigured, Rejected, Transient
from node.inference.process import Told
from node.log import configure_logging

# Where memory runs out, Linux ends this process before those that receive and deliver.
_FIRST_TO_GO = "500"


def main(descriptor: int) -> None:
    """Answer the worker at the other end of the pipe until it is gone."""
    # Who stops all processes of a service at once would make a job that is at work look failed;
    # this one ends with the worker.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    with Connection(descriptor) as worker, suppress(EOFError):
        models, log_level = worker.recv()
        configure_logging(log_level)
        while True:
            method, arguments = worker.recv()
            worker.send(_answer(getattr(models, method), arguments))


def _answer(method: Callable[..., object], arguments: Sequence[object]) -> object:
    try:
        return method(*arguments)
    except Rejected as error:
        return Told(str(error), "", reason=error.reason)
    except Transient as error:
        return Told(str(error), "", is_transient=True)
    except Misconfigured as error:
        return Told(str(error), "", is_misconfigured=True)
    except Exception as error:  # noqa: BLE001 it is the worker that decides what follows
        return Told(f"{type(error).__name__}: {error}", traceback.format_exc())


if __name__ == "__main__":
    main(int(sys.argv[1]))
