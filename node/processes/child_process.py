"""`python -m node.processes.child_process PARENT MODULE ...`: ends with its parent process.

A killed supervisor cannot stop its processes; processes left behind would block the ports and the
database of the next one.
"""

import ctypes
import gc
import os
import runpy
import signal
import sys
import threading

from node.runtime.lean_imports import import_pydicom, import_structlog

_PR_SET_PDEATHSIG = 1  # prctl(2)
_POLL_SECONDS = 0.5


def exit_with_parent(parent: int) -> None:
    """Has this process killed when its parent process ends."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # SIGKILL, so that nothing lingers; the next start resumes the work.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)


def _watch(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_POLL_SECONDS)
    os._exit(1)


def main() -> None:
    """Binds to the parent (first argument), then runs the module with the other arguments.

    The module turns on the garbage collector when its imports are done.
    """
    parent, module = int(sys.argv[1]), sys.argv[2]
    exit_with_parent(parent)
    # Imports create many objects that stay. To search them again and again for garbage takes up to
    # a quarter of the start.
    gc.disable()
    import_structlog()
    import_pydicom()
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
