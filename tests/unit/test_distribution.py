"""The installed distribution: its three packages, and no module named `orthanc`."""

import importlib.util
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("package", ["node", "pacs_listener", "models"])
def test_no_other_distribution_provides_a_package_of_the_same_name(package: str) -> None:
    others = {
        found.name
        for found in distributions()
        if found.name != "segnode"
        for file in found.files or ()
        if file.parts[0] in (package, f"{package}.py")
    }
    assert not others
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_the_installed_version_is_that_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert version("segnode") == project["project"]["version"]


@pytest.mark.parametrize("module", ["node.cli.main", "pacs_listener.scp", "node.web.app"])
def test_command_line_listener_and_web_process_do_not_import_torch(
    module: str, tmp_path: Path
) -> None:
    program = f"import sys, {module}; print(sorted({{'torch', 'monai'}} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_a_worker_does_not_import_what_its_inference_process_does(tmp_path: Path) -> None:
    heavy = ["torch", "monai", "scipy", "highdicom", "fpdf", "node.pipeline"]
    program = f"import sys, node.processes.worker; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_the_editable_install_does_not_shadow_the_module_orthanc(tmp_path: Path) -> None:
    program = "import importlib.util; print(importlib.util.find_spec('orthanc'))"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "None"
