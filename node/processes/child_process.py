"""`python -m node.processes.child_process PARENT MODULE ...`: ends with its parent process.

A supervisor that is killed can stop nobody; processes left over would hold its ports and its
database against the next one.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1  # prctl(2)
_LOOK_SECONDS = 0.5


def exit_with_parent(parent: int) -> None:
    """Have this process killed once `parent`, which started it, is no more."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        # KILL, as nothing may linger; what was under way is taken up again at the next start.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before we had asked
        os._exit(1)


def _watch(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_LOOK_SECONDS)
    os._exit(1)


def main() -> None:
    """Bind to the parent that the first argument names, then run the module with the others."""
    parent, module = int(sys.argv[1]), sys.argv[2]
    exit_with_parent(parent)
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
