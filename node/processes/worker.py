"""`python -m node.processes.worker --config FILE`: decides, segments and delivers."""

import os
import sys

from node.inference.spawned_child import prepare_child


def main(arguments: list[str] | None = None) -> int:
    """Works until SIGTERM or SIGINT; returns the exit status."""
    # The imports of the worker take two seconds, those of its inference process three. The other
    # process begins with them first, so that both run at the same time.
    prepare_child()
    from node.processes.entry_point import run_process
    from node.processes.worker_process import run

    return run_process("worker", "node.processes.worker", __doc__, run, arguments)


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # A running model would keep the process for minutes; its job is resumed at the next start.
    os._exit(status)
