"""A database that a newer version has upgraded is refused by every process and every command."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from node.cli.main import main
from node.processes.exit_status import MISCONFIGURED_STATUS
from node.processes.role_process import MODULES
from node.settings import load_settings
from node.store import Store

REFUSAL = "the database was upgraded by a newer segnode to schema 9999"
COMMANDS = [
    "alerts list",
    "alerts test",
    "backup {folder}",
    "check",
    "config diff 1 2",
    "config export",
    "config import {config} --reason test",
    "config list",
    "config rollback 1 --reason test",
    "config set {config} --reason test",
    "config show 1",
    "connections rejected",
    "connections test",
    "explain 1.2.3",
    "feedback export out",
    "feedback list",
    "fetch --state",
    "jobs discard 1 --reason lost",
    "jobs export 1 out.dcm",
    "jobs list",
    "jobs redirect 1 --destination pacs --to archive",
    "jobs release 1",
    "jobs rerun 1",
    "jobs retry 1",
    "jobs show 1",
    "jobs start 1.2.3",
    "models agreement",
    "models list",
    "queue list",
    "queue pause --inference",
    "queue resume --inference",
    "rules compare {config}",
    "series list",
    "store delete 1.2.3 --reason test",
    "store repair",
    "store verify",
    "worklist list",
    "worklist show 1.2",
    "worklist cancel 1.2",
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose database has a newer schema."""
    folder = tmp_path_factory.mktemp("site")
    file = folder / "site.toml"
    file.write_text('config = "database"\ndata_dir = "data"\n', encoding="utf-8")
    settings = load_settings(file)
    Store.open(settings.database_url, settings.data_dir).close()
    with closing(sqlite3.connect(settings.data_dir / "segnode.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    return file


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_a_newer_schema(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    words = command.format(config=config, folder=tmp_path).split()
    monkeypatch.setattr(sys, "argv", ["segnode", *words, "--config", str(config)])
    monkeypatch.chdir(config.parent)
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 1
    assert REFUSAL in capsys.readouterr().err


def test_every_process_refuses_a_newer_schema(config: Path) -> None:
    processes = {
        role: subprocess.Popen(
            [sys.executable, "-m", module, "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for role, module in MODULES.items()
    }
    for role, process in processes.items():
        output, _ = process.communicate(timeout=120)
        assert process.returncode == MISCONFIGURED_STATUS, role
        assert REFUSAL in output, role
