"""How long a process that crashed waits before it starts again."""

import subprocess
from typing import cast
from unittest.mock import sentinel

import pytest

from node.processes.role_process import Role, RoleProcess


@pytest.mark.parametrize(
    ("ready_at", "delays_s"),
    [(5.0, [0.0, 1.0, 2.0, 4.0]), (None, [0.5, 1.0, 2.0, 4.0])],
)
def test_a_process_that_was_ready_starts_again_at_once_unless_it_crashes_again(
    ready_at: float | None, delays_s: list[float]
) -> None:
    process = cast("subprocess.Popen[bytes]", sentinel.process)
    made = [
        RoleProcess(Role.WORKER, process, 0, 0.0, crashes=crashes, last_sign_at=ready_at)
        for crashes in (1, 2, 3, 4, 20)
    ]
    assert [part.restart_delay_s for part in made] == [*delays_s, 30.0]
