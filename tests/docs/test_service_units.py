"""The units of systemd are hardened, agree with each other, and name what exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from node.processes.role_process import Role
from tests.support.whole_command_line import app

FOLDER = Path(__file__).parents[2] / "deploy/systemd"
UNITS = ("segnode.service", "segnode@.service")
MAX_EXPOSURE = 2.5


def directives(unit: str) -> list[str]:
    """The lines of a unit without comments."""
    lines = (FOLDER / unit).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def exposure(unit: Path) -> float:
    """The exposure level that systemd computes, from 0 to 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in report.splitlines() if "Overall exposure level" in line]
    return float(line.split(":")[1].split()[0])


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_hardened(unit: str) -> None:
    assert exposure(FOLDER / unit) < MAX_EXPOSURE


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_stays_hardened_on_a_low_port(unit: str, tmp_path: Path) -> None:
    drop_in = tmp_path / f"{unit}.d"
    drop_in.mkdir()
    shutil.copy(FOLDER / "port-104.conf", drop_in)
    # A drop-in is found beside its unit.
    shutil.copy(FOLDER / unit, tmp_path)
    on_low_port = exposure(tmp_path / unit)
    assert exposure(FOLDER / unit) < on_low_port < MAX_EXPOSURE


def test_an_unprotected_unit_is_noticed(tmp_path: Path) -> None:
    unit = tmp_path / "plain.service"
    unit.write_text("[Service]\nExecStart=/opt/segnode/bin/segnode serve\n")
    assert exposure(unit) > MAX_EXPOSURE


def test_both_units_protect_in_the_same_way() -> None:
    one, each_role = (
        [line for line in directives(unit) if not line.startswith(("Description", "ExecStart="))]
        for unit in UNITS
    )
    assert one == each_role


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_notified_and_watched(unit: str) -> None:
    lines = directives(unit)
    assert "Type=notify" in lines
    assert any(re.fullmatch(r"WatchdogSec=\d+", line) for line in lines)
    assert "Restart=on-failure" in lines, "which includes the watchdog"


def test_each_role_of_the_template_exists() -> None:
    comment = (FOLDER / "segnode@.service").read_text(encoding="utf-8").split("[Unit]")[0]
    assert all(f"segnode@{role}" in comment for role in Role)


@pytest.mark.parametrize("unit", UNITS)
def test_the_commands_of_a_unit_exist(unit: str) -> None:
    commands = [line.split("/segnode ")[1] for line in directives(unit) if line.startswith("Exec")]
    assert len(commands) == 3
    for command in commands:
        name, *options = command.split()
        usage = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        assert all(option in usage for option in options if option.startswith("--"))
