"""`segnode health` says whether the processes of this host work."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.domain.errors import Misconfigured, Transient
from node.runtime.supervisor_file import (
    ProcessReport,
    ProcessState,
    hold_supervisor_file,
    supervisor_reports,
)
from tests.support.whole_command_line import app

WORKER = ProcessReport("worker", ProcessState.WORKING, 31.0)
WEB = ProcessReport("web", ProcessState.STARTING, 2.0)


def health(folder: Path, *arguments: str) -> Result:
    config = folder / "segnode.toml"
    config.write_text(f'data_dir = "{folder}"\n')
    return CliRunner().invoke(app, ["health", "--config", str(config), *arguments])


def health_of(folder: Path, reports: Sequence[ProcessReport], *arguments: str) -> Result:
    with hold_supervisor_file(folder) as file:
        file.report(reports)
        return health(folder, *arguments)


def test_every_process_must_work(tmp_path: Path) -> None:
    working = health_of(tmp_path, [WORKER])
    assert (working.exit_code, working.output) == (0, "worker: works, for 31 s.\n")
    starting = health_of(tmp_path, [WORKER, WEB])
    assert starting.exit_code == 1
    assert "web: has been starting for 2 s." in starting.output


@pytest.mark.parametrize("mistake", ["[listener]\nport = 104x\n", "[listener]\nprot = 104\n"])
def test_mistakes_in_the_file_do_not_end_a_node_that_works(tmp_path: Path, mistake: str) -> None:
    config = tmp_path / "segnode.toml"
    with hold_supervisor_file(tmp_path) as file:
        file.report([WORKER])
        config.write_text(f'data_dir = "{tmp_path}"\n{mistake}')
        result = CliRunner().invoke(app, ["health", "--config", str(config)])
    assert result.exit_code == 0
    assert "worker: works" in result.output
    assert "The node keeps the earlier configuration" in result.output
    assert f"{config}:3: " in result.output


def test_a_folder_that_cannot_be_read_from_the_file_is_a_mistake(tmp_path: Path) -> None:
    config = tmp_path / "segnode.toml"
    config.write_text(f"data_dir = {tmp_path}\n[listener]\nport = 104\n")
    result = CliRunner().invoke(app, ["health", "--config", str(config)])
    assert isinstance(result.exception, Misconfigured)
    assert result.exception.line == 1


def test_a_role_is_checked_alone(tmp_path: Path) -> None:
    assert health_of(tmp_path, [WORKER, WEB], "--role", "worker").exit_code == 0
    missing = health_of(tmp_path, [WORKER, WEB], "--role", "listener")
    assert (missing.exit_code, missing.output) == (1, "listener: does not run on this host.\n")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ProcessState.HANGING, "worker: hangs: its last sign of life is 31 s old."),
        (ProcessState.ENDED, "worker: has ended, and is started again soon; its log says why."),
    ],
)
def test_a_process_that_does_not_work_is_described(
    tmp_path: Path, state: ProcessState, text: str
) -> None:
    result = health_of(tmp_path, [ProcessReport("worker", state, 31.0)])
    assert (result.exit_code, result.output) == (1, f"{text}\n")


def test_a_supervisor_without_a_new_report_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    with hold_supervisor_file(tmp_path) as file:
        file.report([WORKER])
        monkeypatch.setattr(time, "monotonic", lambda: now + 30)
        result = health(tmp_path)
    assert result.exit_code == 1
    assert f"The supervisor (process {os.getpid()}) hangs" in result.output


def test_a_supervisor_that_just_started_does_not_work_yet(tmp_path: Path) -> None:
    assert health_of(tmp_path, []).exit_code == 1


def test_without_a_node_there_is_an_error(tmp_path: Path) -> None:
    result = health(tmp_path)
    assert isinstance(result.exception, Transient)
    assert str(result.exception) == f"no node runs on this host over {tmp_path}"


def test_an_unknown_role_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    result = health(tmp_path, "--role", "pacs")
    assert result.exit_code == 2
    assert all(role in result.output for role in ("listener", "worker", "web"))


def test_a_shorter_report_replaces_a_longer_one(tmp_path: Path) -> None:
    with hold_supervisor_file(tmp_path) as file:
        file.report([WORKER, WEB])
        file.report([WORKER])
        (report,) = supervisor_reports(tmp_path)
    assert report.processes == (WORKER,)
