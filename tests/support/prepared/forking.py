"""`python -m tests.support.prepared.forking DESCRIPTOR PADDING`: forks programs of the node.

It imports all that they import, and then forks one for each request. A program that starts others
has such a process of its own, so that nothing is forked from a process with threads.
"""

import atexit
import ctypes
import fcntl
import gc
import os
import platform
import runpy
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from node.runtime.lean_imports import import_pydicom, import_structlog
from tests.support.prepared.program import Program, answer
from tests.support.prepared.starting import fork_from

# A program executes its module again, as `__main__`; here it is imported for what it imports.
_MAIN_MODULES = (
    "node.cli.__main__",
    "node.inference.child",
    "node.processes.child_process",
    "node.processes.web",
    "node.processes.worker",
    "pacs_listener.__main__",
)
# What they import later.
_LATER = (
    "models.inference.predictor",
    "node.cli.serve",
    "node.inference.job_run",
    "node.processes.entry_point",
    "node.processes.supervisor",
    "node.processes.worker_process",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "tests.support.backed_up_site",
    "tests.support.processes.worker_parts",
)
_CLONE = {"x86_64": 56, "aarch64": 220}  # numbers of the system call
_CLONE_PARENT = 0x8000  # clone(2): the new process is a sibling, not a child
_PR_SET_PDEATHSIG = 1  # prctl(2)
_ARG_START, _ARG_END = 45, 46  # in /proc/PID/stat (proc(5)), of the fields after the name
_ABOVE_ALL_DESCRIPTORS = 200
_LIBC = ctypes.PyDLL(None)  # keeps the lock of the interpreter


def main(descriptor: int) -> None:
    """Imports the programs, then forks them until the other end of the socket is closed."""
    gc.disable()
    import_structlog()
    import_pydicom()
    for name in (*_MAIN_MODULES, *_LATER):
        import_module(name)
    for name in _MAIN_MODULES:
        del sys.modules[name]
    gc.freeze()
    gc.enable()
    assert threading.active_count() == 1
    _fork_on_request(socket.socket(fileno=descriptor))


def _fork_on_request(connection: socket.socket) -> NoReturn:
    while (received := Program.receive(connection)) is not None:
        program, handles = received
        process = _fork_sibling()
        if process == 0:
            connection.close()
            _run(program, handles)
        for handle in handles:
            os.close(handle)
        answer(connection, process)
    os._exit(0)


def _fork_sibling() -> int:
    """Forks; the parent of the new process is the parent of this one. Returns 0 in the new one."""
    number = _CLONE[platform.machine()]
    ctypes.pythonapi.PyOS_BeforeFork()
    process = int(_LIBC.syscall(number, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    if process == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    assert process >= 0, "the system cannot fork"
    return process


def _run(program: Program, handles: list[int]) -> NoReturn:
    """Runs the program in this process, to its end."""
    if program.new_session:
        os.setsid()
    if program.process_group >= 0:
        os.setpgid(0, program.process_group)
    connection = _fork_own_process(handles) if program.starts_others else None
    kept = None if connection is None else connection.fileno()
    _take_descriptors(program.descriptors, handles, kept)
    _show_command_line(program.command_line)
    os.chdir(program.folder)
    os.environ.clear()
    os.environb.update(program.environment)
    time.tzset()
    tempfile.tempdir = None
    if connection is not None:
        fork_from(connection)
    status = _status_of_module(program)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status_of_module(program: Program) -> int:
    """Runs the module as `__main__`, and what the interpreter does at its end."""
    sys.argv = [program.module, *program.module_arguments]
    try:
        runpy.run_module(program.module, run_name="__main__", alter_sys=True)
        status: object = 0
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 as the interpreter does
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if status is None:
        return 0
    if not isinstance(status, int):
        print(status, file=sys.stderr)
        return 1
    return status & 0xFF


def _fork_own_process(handles: list[int]) -> socket.socket:
    """Forks the process from which this program forks others; returns the connection to it.

    It ends with the program.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    if os.fork() == 0:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)
        ours.close()
        for handle in handles:
            os.close(handle)
        _fork_on_request(theirs)
    theirs.close()
    with ours:
        number = fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD_CLOEXEC, _ABOVE_ALL_DESCRIPTORS)
    return socket.socket(fileno=number)


def _take_descriptors(numbers: tuple[int, ...], handles: list[int], kept: int | None) -> None:
    """Gives each handle its number, and closes all others but `kept`."""
    above = [fcntl.fcntl(handle, fcntl.F_DUPFD, _ABOVE_ALL_DESCRIPTORS) for handle in handles]
    for handle, number in zip(above, numbers, strict=True):
        os.dup2(handle, number)
    wanted = {*numbers, kept}
    for number in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        if number not in wanted:
            with suppress(OSError):  # that of the listing itself is closed
                os.close(number)


def _show_command_line(text: bytes) -> None:
    """Writes the command line where `/proc/PID/cmdline` shows it."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, min(len(text), end - start - 1))


if __name__ == "__main__":
    main(int(sys.argv[1]))
