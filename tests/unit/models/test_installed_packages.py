"""The list of installed packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.installed_packages import UnknownModel, find, installed
from models.manifest import InvalidPackage

_LIVER = find("liver-ct")


def _site_package(catalogue: Path, model_id: str) -> Path:
    folder = catalogue / "somewhere"
    folder.mkdir(parents=True)
    text = (_LIVER.weights.parent / "model.toml").read_text(encoding="utf-8")
    (folder / "model.toml").write_text(text.replace('"liver-ct"', f'"{model_id}"'), "utf-8")
    return catalogue


def test_the_starter_model_is_installed_and_finds_the_liver() -> None:
    (label,) = installed()["liver-ct"].labels
    assert (label.type.value, label.type.scheme) == ("10200004", "SCT")
    assert (label.category.value, label.category.meaning) == ("91772007", "Organ")


def test_a_site_adds_its_own_packages(tmp_path: Path) -> None:
    catalogue = _site_package(tmp_path, "liver-house")
    assert set(installed([catalogue])) == {"liver-ct", "liver-house", "organs-ct"}
    assert find("liver-house", [catalogue]).weights.parent == catalogue / "somewhere"


def test_two_packages_with_the_same_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="another package 'liver-ct'"):
        installed([_site_package(tmp_path, "liver-ct")])


def test_the_error_for_an_unknown_model_lists_what_is_installed() -> None:
    with pytest.raises(UnknownModel, match="no model 'spleen-ct'; installed: liver-ct"):
        find("spleen-ct")


def test_listing_models_imports_no_torch() -> None:
    code = (
        "import sys; from models.installed_packages import installed; installed(); "
        "import models.phantom, models.measurement; "
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
