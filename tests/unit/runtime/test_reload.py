"""SIGHUP asks for a reload and stops nothing; `segnode reload` finds supervisors of this host."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from node.runtime.supervisor_file import hold_supervisor_file, running_supervisors

_WAITING = """
import os, signal
from node.runtime.signals import StopSignal

stop = StopSignal()
os.kill(os.getpid(), signal.SIGHUP)
print(stop.wait(0.2), stop.reload_requested(), stop.reload_requested())
os.kill(os.getpid(), signal.SIGTERM)
print(stop.wait(60.0), stop.wait(0.0), stop.reload_requested())
"""


def test_a_hang_up_is_a_request_to_reload_and_stops_nothing() -> None:
    # Its own process: the signal handlers of the test's process stay.
    done = subprocess.run(
        [sys.executable, "-c", _WAITING], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["False True False", "True True False"]


def test_a_supervisor_is_found_while_it_runs(tmp_path: Path) -> None:
    assert running_supervisors(tmp_path) == []
    with hold_supervisor_file(tmp_path):
        # The lock is of the open file, so that this process finds itself, too.
        assert running_supervisors(tmp_path) == [os.getpid()]
    assert running_supervisors(tmp_path) == []


def test_the_file_of_a_killed_supervisor_is_not_a_supervisor(tmp_path: Path) -> None:
    hold = (
        "import sys, pathlib\nfrom node.runtime.supervisor_file import hold_supervisor_file\n"
        "with hold_supervisor_file(pathlib.Path(sys.argv[1])):\n  print('held', flush=True)\n"
        "  sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert running_supervisors(tmp_path) == [process.pid]
        process.send_signal(signal.SIGKILL)
    assert running_supervisors(tmp_path) == []
    assert list(tmp_path.glob("supervisor-*"))
