"""The example units of the backup, and the guide that names them."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.whole_command_line import app

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICE = DEPLOY / "systemd" / "segnode-backup.service"
TIMER = DEPLOY / "systemd" / "segnode-backup.timer"
# What protects the machine and the data from the node itself.
PROTECTION = re.compile(
    r"^((?:Private|Protect|Restrict|SystemCall|Capability|Ambient|StateDirectory|UMask|Lock|Keyring"
    r"|RemoveIPC|NoNew)\w*=.*)$",
    re.MULTILINE,
)
GUIDE = (DEPLOY / "backup-and-upgrade.md").read_text(encoding="utf-8")


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


def options_of(command: str) -> set[str]:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    return set(re.findall(r"(?<![\w-])-{1,2}[a-z][\w-]*", result.output))


def test_the_service_runs_the_command_on_the_disk_that_it_requires() -> None:
    (command,) = values(SERVICE, "ExecStart")
    program, name, folder, *options = shlex.split(command)
    assert (Path(program).name, name) == ("segnode", "backup")
    assert {word for word in options if word.startswith("-")} <= options_of("backup")
    assert values(SERVICE, "RequiresMountsFor") == [folder]
    assert folder in values(SERVICE, "ReadWritePaths")[0].split()


def test_the_service_runs_as_the_user_of_the_node_and_is_protected_as_the_node() -> None:
    node = SERVICE.with_name("segnode.service")
    for name in ("User", "EnvironmentFile"):
        assert values(SERVICE, name) == values(node, name)
    protection = PROTECTION.findall(node.read_text(encoding="utf-8"))
    assert len(protection) > 20
    assert sorted(PROTECTION.findall(SERVICE.read_text(encoding="utf-8"))) == sorted(protection)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed: apt-get install systemd")
    for unit in (SERVICE, TIMER):
        # The program of the installed node is not there.
        text = unit.read_text(encoding="utf-8").replace("/opt/segnode/bin/segnode", "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    units = [str(tmp_path / unit.name) for unit in (SERVICE, TIMER)]
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        check=False,
        capture_output=True,
        text=True,
    )
    lines = [line for line in checked.stderr.splitlines() if "segnode-backup" in line]
    assert lines == []


def test_the_guide_names_every_file_of_a_backup() -> None:
    for name in ("database/", "files/", "files.sqlite", "manifest.json", "manifest.sha256"):
        assert f"`{name}`" in GUIDE
