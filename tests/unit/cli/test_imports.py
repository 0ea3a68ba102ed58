"""Commands import only what they need, so that the command line starts quickly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from node.cli.main import command_line
from tests.support.whole_command_line import app

# Each takes 50 ms to seconds to import.
SCIENTIFIC = {"torch", "monai", "numpy", "scipy", "pydicom", "highdicom", "pynetdicom", "nibabel"}
SERVICES = {"alembic", "dbos", "apscheduler", "fastapi", "uvicorn", "requests", "structlog"}
# Typer imports pydantic itself.
SETTINGS = {"pydantic_settings", "tree_sitter_toml", "sqlalchemy"}
WEB = {"starlette", "asyncio"}
DATABASE = {"sqlalchemy", "node.store"}
PROGRAM = """\
import sys
from node.cli.main import main
sys.argv = ["segnode", *sys.argv[1:]]
try:
    main()
except SystemExit as exited:
    print(exited.code or 0, *sys.modules)
"""
SUPERVISOR = """\
import sys
from pathlib import Path
import node.processes.supervisor
from node.processes.configuration_file import ConfigurationFile
from node.settings import host_settings
file = ConfigurationFile(Path(sys.argv[1]))
file.record_use(host_settings(file.file))
print(0, *sys.modules)
"""
RULES = """\
data_dir = "data"
[destinations.archive]
kind = "folder"
path = "archive"
[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["archive"]
when = { attribute = "Modality", equals = "CT" }
"""


def imported_modules(
    config: Path, *arguments: str, program: str = PROGRAM, status: int = 0
) -> set[str]:
    """Runs `segnode ARGUMENTS`, or another program; returns the imported modules."""
    # A setting in the environment would import pydantic_settings.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SEGNODE_")}
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=config.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    exit_status, *modules = run.stdout.splitlines()[-1].split()
    assert int(exit_status) == status, run.stderr
    return set(modules)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Returns a configuration file with a rule on a DICOM attribute."""
    file = tmp_path / "site.toml"
    file.write_text(RULES, encoding="utf-8")
    return file


@pytest.mark.parametrize("arguments", [("--version",), ("check", "--help"), ("jobs", "--help")])
def test_help_imports_no_heavy_module(config: Path, arguments: tuple[str, ...]) -> None:
    heavy = SCIENTIFIC | SERVICES | SETTINGS
    assert not heavy & imported_modules(config, *arguments)


def test_check_imports_neither_database_nor_dicom_nor_web_libraries(config: Path) -> None:
    heavy = SCIENTIFIC | SERVICES | DATABASE | WEB | {"pydantic_settings", "rich"}
    others = {"node.cli.jobs", "node.cli.fetch", "node.cli.queues"}
    assert not (heavy | others) & imported_modules(config, "check", "-c", str(config))


@pytest.mark.parametrize("name", sorted(get_command(app).commands))  # type: ignore[attr-defined]
def test_each_command_is_the_same_whether_others_are_imported_or_not(name: str) -> None:
    alone = command_line([name])
    assert list(get_command(alone).commands) == [name]  # type: ignore[attr-defined]
    texts = [CliRunner().invoke(each, [name, "--help"]).output for each in (alone, app)]
    assert texts[0] == texts[1]
    assert "Usage: " in texts[0]


def test_a_word_that_is_no_command_is_answered_with_those_that_are(config: Path) -> None:
    assert "node.cli.train" in imported_modules(config, "chek", status=2)


def test_jobs_list_imports_no_migrations_once_the_schema_is_current(config: Path) -> None:
    assert "alembic" in imported_modules(config, "jobs", "list", "-c", str(config))
    heavy = SCIENTIFIC | SERVICES | {"pydantic_settings", "rich", "sqlalchemy.dialects.postgresql"}
    assert not heavy & imported_modules(config, "jobs", "list", "-c", str(config))


def test_an_unknown_model_ends_segment_before_what_takes_seconds_to_import(config: Path) -> None:
    arguments = ("segment", str(config.parent), "out.dcm", "--model", "lever-ct", "-c", str(config))
    heavy = SCIENTIFIC | SERVICES | DATABASE
    assert not heavy & imported_modules(config, *arguments, status=1)


def test_the_supervisor_imports_the_database_only_if_the_file_has_changed(config: Path) -> None:
    (config.parent / "data").mkdir()
    first = imported_modules(config, str(config), program=SUPERVISOR)
    assert first >= DATABASE
    again = imported_modules(config, str(config), program=SUPERVISOR)
    heavy = SCIENTIFIC | DATABASE | (SERVICES - {"structlog"})
    assert not heavy & again
