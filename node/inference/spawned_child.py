"""Starts inference processes; one can be started before the worker itself has been imported.

The module imports the standard library alone.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

_MODULE = "node.inference.child"
# Tells the process to import what every model needs before it is asked for one, and what every
# job needs after it has loaded the models.
IMPORT_EARLY = "import-early"


@dataclass
class SpawnedChild:
    """An inference process, and the worker's end of the pipe to it."""

    process: subprocess.Popen[bytes]
    connection: "Connection[Any, Any]"

    def end(self) -> None:
        """Kills the process, a running inference included."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


def spawn_child(*options: str) -> SpawnedChild:
    """Starts an inference process; it ends with this thread."""
    ours, theirs = Pipe()
    with theirs:
        command = [sys.executable, "-P", "-m", "node.processes.child_process", str(os.getpid())]
        process = subprocess.Popen(
            [*command, _MODULE, str(theirs.fileno()), *options],
            pass_fds=[theirs.fileno()],
            process_group=0,
            stdin=subprocess.DEVNULL,
        )
    return SpawnedChild(process, ours)


_prepared: list[SpawnedChild] = []


def prepare_child() -> SpawnedChild:
    """Starts, and returns, the process that the next call of `prepared_or_new_child` returns."""
    child = spawn_child(IMPORT_EARLY)
    _prepared.append(child)
    return child


def prepared_or_new_child() -> SpawnedChild:
    """Returns the prepared inference process, or else starts one."""
    return _prepared.pop() if _prepared else spawn_child()
