"""The make targets that the README names exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", README))))
def test_a_make_target_in_the_readme_exists(target: str) -> None:
    # In "apt-get install make python3-venv", the word after "make" is a package.
    if f"install make {target}" in README:
        return
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_make_test_runs_one_package_when_args_names_it() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed: apt-get install make")
    planned = subprocess.run(
        [make, "--dry-run", "--always-make", "test", "ARGS=tests/unit/cli"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = next(line for line in planned.splitlines() if "/pytest " in line)
    assert [word for word in command.split() if "tests" in word] == ["tests/unit/cli"]


def test_the_installation_by_make_shows_pips_progress() -> None:
    command = next(line for line in MAKEFILE.splitlines() if "/pip install" in line)
    assert "--quiet" not in command
