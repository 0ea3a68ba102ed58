"""The shared entry point: settings from `--config`, and an exit status for each error family."""

import gc
from pathlib import Path

import pytest

from node.domain.errors import Misconfigured, NodeError, Transient
from node.processes import entry_point
from node.processes.entry_point import Host, run_process
from node.processes.exit_status import MISCONFIGURED_STATUS


@pytest.fixture(autouse=True)
def _keep_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the logging of the test process as it is."""
    monkeypatch.setattr(entry_point, "configure_logging", lambda _level: None)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "segnode.toml"
    file.write_text('data_dir = "data"\nquiet_seconds = 7\n', encoding="utf-8")
    return file


def test_the_process_runs_with_the_settings_of_its_configuration(config: Path) -> None:
    received: list[Host] = []
    status = run_process("test", "tests.process", None, received.append, ["--config", str(config)])
    assert status == 0
    assert [(host.file, host.settings.quiet_seconds) for host in received] == [(config, 7)]


@pytest.mark.parametrize(
    ("error", "event", "status"),
    [
        (Misconfigured("is wrong", key="web.port"), "test.misconfigured", MISCONFIGURED_STATUS),
        (Transient("the database does not answer"), "test.failed", 1),
    ],
)
def test_an_error_is_logged_and_gives_the_exit_status(
    config: Path, capsys: pytest.CaptureFixture[str], error: NodeError, event: str, status: int
) -> None:
    def run(_host: Host) -> None:
        raise error

    assert run_process("test", "tests.process", None, run, ["--config", str(config)]) == status
    output = "".join(capsys.readouterr())
    assert event in output
    assert str(error) in output


def test_an_invalid_configuration_is_logged_and_the_process_does_not_run(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('data_dri = "data"\n', encoding="utf-8")
    received: list[Host] = []
    status = run_process("test", "tests.process", None, received.append, ["--config", str(config)])
    assert (status, received) == (MISCONFIGURED_STATUS, [])
    assert "data_dri" in "".join(capsys.readouterr())


def test_garbage_collection_runs_once_the_imports_are_done(config: Path) -> None:
    collecting: list[bool] = []
    gc.disable()
    try:
        arguments = ["--config", str(config)]
        run_process("t", "t", None, lambda _: collecting.append(gc.isenabled()), arguments)
    finally:
        gc.enable()
    assert collecting == [True]
