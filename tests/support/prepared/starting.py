"""Starts programs of the node quickly: forked from a process that has imported torch and the node.

The imports of a node take eight seconds of processor time, which every start of a process would
repeat. The forked process has the parent, session, descriptors, environment and command line
that the executable would have. With `SEGNODE_REAL_STARTS=1` the executable itself is started.
"""

import atexit
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

from tests.support.prepared.program import MAX_COMMAND_BYTES, Program, can_be_forked

# This variable has executables started.
REAL_STARTS = "SEGNODE_REAL_STARTS"
_ROOT = Path(__file__).parents[3]
# The private function by which subprocess.Popen starts a process (Python 3.11 to 3.13).
_EXECUTE: Callable[..., int] = subprocess._fork_exec  # type: ignore[attr-defined]


def start_program(
    command: Sequence[str],
    *,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    start_new_session: bool = False,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a program of the node as a child process; see `subprocess.Popen`.

    With `variables`, which may be for the executable or its loader, the executable is started.
    """
    options: dict[str, Any] = {
        "stdout": stdout,
        "stderr": stderr,
        "start_new_session": start_new_session,
    }
    if variables or REAL_STARTS in os.environ:
        options["env"] = os.environ | dict(variables or {})
        return subprocess.Popen(command, **options)
    with programs_are_forked():
        return subprocess.Popen(command, **options)


@contextmanager
def programs_are_forked() -> Iterator[None]:
    """Programs of the node that this process starts are forked, such as those of a supervisor.

    They end with this process, not with the thread that starts them.
    """
    if REAL_STARTS in os.environ:
        yield
        return
    fork_from(_preparing_process())
    try:
        yield
    finally:
        subprocess._fork_exec = _EXECUTE  # type: ignore[attr-defined]


def fork_from(connection: socket.socket) -> None:
    """Has `subprocess` fork programs of the node at the other end of the connection."""
    turn = threading.Lock()

    def fork(command: Sequence[str], *others: Any) -> int:
        if not can_be_forked(command):
            return _EXECUTE(command, *others)
        program, handles = _program(command, *others)
        with turn:
            return program.send(connection, handles)

    subprocess._fork_exec = fork  # type: ignore[attr-defined]


def _program(
    command: Sequence[str],
    _executables: object,
    _close_others: bool,
    kept: tuple[int, ...],
    folder: str | None,
    environment: list[bytes] | None,
    stdin: int,
    _stdin_end: int,
    _stdout_end: int,
    stdout: int,
    _stderr_end: int,
    stderr: int,
    _error_end: int,
    error: int,
    _restore_signals: bool,
    new_session: bool,
    process_group: int,
    *_others: object,
) -> tuple[Program, list[int]]:
    """Returns a program, and its file descriptors, from the arguments of `_fork_exec`."""
    passed = [descriptor for descriptor in kept if descriptor != error]
    standard = [
        given if given >= 0 else number for number, given in enumerate((stdin, stdout, stderr))
    ]
    variables = (
        dict(os.environb)
        if environment is None
        else dict(each.split(b"=", 1) for each in environment)
    )
    program = Program(
        arguments=tuple(str(word) for word in command[1:]),  # which may be of an enumeration
        environment=variables,
        folder=str(Path.cwd()) if folder is None else os.fsdecode(folder),
        descriptors=(0, 1, 2, *passed),
        new_session=bool(new_session),
        process_group=process_group,
    )
    return program, [*standard, *passed]


@cache
def _preparing_process() -> socket.socket:
    """Starts the process that forks programs, once; the caller is the main thread.

    Linux ends what it forks together with the thread that starts it.
    """
    assert threading.current_thread() is threading.main_thread()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.support.prepared.forking", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(
            [*command, "." * MAX_COMMAND_BYTES],
            cwd=_ROOT,
            pass_fds=[theirs.fileno()],
            process_group=0,
            stdin=subprocess.DEVNULL,
        )
    atexit.register(_end, process, ours)
    return ours


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    process.kill()
    process.wait()
