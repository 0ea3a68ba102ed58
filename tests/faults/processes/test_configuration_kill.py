"""SIGKILL at each step of a change of the configuration: the old or the new one is in force.

It is changed by the command, and in the console by HTTPS and in the session of a user.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes.killed_configuration import Way

_MODULE = "tests.support.processes.killed_configuration"


@pytest.mark.parametrize("way", Way)
def test_a_killed_change_leaves_the_old_or_the_new_configuration(tmp_path: Path, way: Way) -> None:
    command = [sys.executable, "-m", _MODULE, str(tmp_path), way]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    steps = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"step"')]
    *killed, last = steps
    assert len(killed) > 5, "a change has several statements"
    assert all(step["was_killed"] for step in killed)
    revisions = 1
    for step in steps:
        assert step["in_force"] in {"old", "new"}
        revisions += step["in_force"] == "new"
        assert (step["revisions"], step["active"]) == (revisions, revisions)
        assert step["chain_faults"] == 0
    assert {step["in_force"] for step in killed} == {"old", "new"}
    assert (last["in_force"], last["quiet_seconds"]) == ("new", float(last["step"]))
