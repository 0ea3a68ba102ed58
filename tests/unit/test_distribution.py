"""The distribution: wheel and sdist, its three packages, its dependencies and their licences."""

import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKED = ROOT / "deploy" / "locked"
REMEDY = "run make constraints"


def pins(file: Path) -> dict[str, str]:
    """The version of each package that the file pins."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {str(canonicalize_name(name)): number for name, number in found}


def output_of(*command: str | Path, folder: Path) -> str:
    """Runs a command that must succeed; returns what it prints."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def distributions_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    output_of(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, folder=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    output_of(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=source
    )
    return folder


def test_the_wheel_holds_the_three_packages_alone(distributions_folder: Path) -> None:
    (wheel,) = distributions_folder.glob("*.whl")
    names = ZipFile(wheel).namelist()
    number = version("segnode")
    packages = {"node", "pacs_listener", "models"}
    assert {name.split("/")[0] for name in names} == {*packages, f"segnode-{number}.dist-info"}
    assert "models/catalogue/liver-ct/MODEL_CARD.md" in names


def test_the_wheel_runs_in_an_environment_of_its_own(
    distributions_folder: Path, tmp_path: Path
) -> None:
    (wheel,) = distributions_folder.glob("*.whl")
    environment = tmp_path / "environment"
    output_of(sys.executable, "-m", "venv", "--without-pip", environment, folder=tmp_path)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python")
    output_of(*pip, "install", "--no-deps", "--no-index", wheel, folder=tmp_path)
    (packages,) = environment.glob("lib/python*/site-packages")
    # The dependencies alone: Python ignores the hook of the editable installation in this folder.
    dependencies = sysconfig.get_path("purelib")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")
    segnode = environment / "bin" / "segnode"
    assert version("segnode") in output_of(segnode, "--version", folder=tmp_path)
    where = output_of(
        environment / "bin/python", "-c", "import node; print(node.__file__)", folder=tmp_path
    )
    assert Path(where.strip()).is_relative_to(packages)
    checked = output_of(
        segnode, "check", "-c", ROOT / "deploy/compose/segnode.toml", folder=tmp_path
    )
    assert "no mistakes" in checked


@pytest.mark.parametrize("name", ["node", "s3", "onnx", "cuda", "build"])
def test_a_list_pins_the_tested_versions_with_hashes(name: str) -> None:
    file = LOCKED / f"{name}.txt"
    tested = pins(ROOT / "deploy" / "constraints.txt")
    packages = pins(file)
    assert packages
    differing = {p for p, number in packages.items() if p in tested and tested[p] != number}
    assert not differing, REMEDY
    blocks = re.split(r"^(?=\w)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(packages)
    assert not [block for block in blocks if "--hash=sha256:" not in block], REMEDY


@pytest.mark.parametrize(
    ("extra", "lists"), [("", ["node", "cuda"]), ("s3", ["s3"]), ("onnx", ["onnx"])]
)
def test_the_lists_hold_every_dependency(extra: str, lists: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = project["optional-dependencies"][extra] if extra else project["dependencies"]
    pinned = {
        name: number for each in lists for name, number in pins(LOCKED / f"{each}.txt").items()
    }
    for requirement in map(Requirement, stated):
        name = str(canonicalize_name(requirement.name))
        assert name in pinned, REMEDY
        assert requirement.specifier.contains(pinned[name]), REMEDY


def test_every_licence_is_allowed_or_reviewed() -> None:
    mistakes = runpy.run_path(str(ROOT / "deploy/tools/licences.py"))["mistakes"]
    assert mistakes() == []


@pytest.mark.parametrize(
    ("expression", "is_allowed"),
    [
        ("MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT; GPL-3.0-only", False),
    ],
)
def test_one_alternative_of_a_licence_must_be_allowed(expression: str, is_allowed: bool) -> None:
    check = runpy.run_path(str(ROOT / "deploy/tools/licences.py"))["is_allowed"]
    assert check(expression, {"MIT", "Apache-2.0", "LLVM-exception"}) is is_allowed


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
    imports = "import sys, node.processes.worker_process as _"
    program = f"{imports}; print([m for m in {heavy} if m in sys.modules])"
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
