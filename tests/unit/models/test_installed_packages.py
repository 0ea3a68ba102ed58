"""The list of installed packages."""

import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from models.installed_packages import InstalledPackages, UnknownModel, find, installed
from models.manifest import InvalidPackage, ModelSpec

_LIVER = find("liver-ct")


def _site_package(catalogue: Path, model_id: str, version: str = _LIVER.version) -> Path:
    folder = catalogue / f"{model_id}-{version}"
    folder.mkdir(parents=True)
    text = (_LIVER.weights.parent / "model.toml").read_text(encoding="utf-8")
    text = text.replace('"liver-ct"', f'"{model_id}"').replace(
        f'"{_LIVER.version}"', f'"{version}"'
    )
    (folder / "model.toml").write_text(text, "utf-8")
    return catalogue


def test_the_starter_model_is_installed_and_finds_the_liver() -> None:
    (label,) = installed()["liver-ct"].labels
    assert (label.type.value, label.type.scheme) == ("10200004", "SCT")
    assert (label.category.value, label.category.meaning) == ("91772007", "Organ")


def test_a_site_adds_its_own_packages(tmp_path: Path) -> None:
    catalogue = _site_package(tmp_path, "liver-house")
    assert set(installed([catalogue])) == {"liver-ct", "liver-house", "organs-ct"}
    found = find("liver-house", [catalogue])
    assert found.weights.parent == catalogue / f"liver-house-{_LIVER.version}"


def test_two_packages_with_the_same_name_and_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match="another package 'liver-ct' of version"):
        installed([_site_package(tmp_path, "liver-ct")])


def test_versions_of_a_model_are_installed_side_by_side(tmp_path: Path) -> None:
    _site_package(tmp_path, "liver-ct", "0.10.0")
    packages = installed([_site_package(tmp_path, "liver-ct", "0.9.0")])
    versions = [_LIVER.version, "0.9.0", "0.10.0"]
    assert [spec.version for spec in packages.versions_of("liver-ct")] == versions
    assert list(packages) == [*(f"liver-ct@{version}" for version in versions), "organs-ct"]
    assert packages.find("liver-ct@0.9.0").version == "0.9.0"


def test_a_name_without_version_never_chooses_among_several(tmp_path: Path) -> None:
    packages = installed([_site_package(tmp_path, "liver-ct", "9.0.0")])
    with pytest.raises(UnknownModel, match=r"several versions .*: name one of .*liver-ct@9\.0\.0"):
        packages.find("liver-ct")


def test_a_single_version_has_one_name_however_it_is_written() -> None:
    packages = installed()
    assert packages[_LIVER.reference] == packages["liver-ct"]
    assert packages.name_of(_LIVER.reference) == packages.name_of("liver-ct") == "liver-ct"


def test_the_error_for_an_unknown_model_lists_what_is_installed() -> None:
    with pytest.raises(UnknownModel, match="no model 'spleen-ct'; installed: liver-ct"):
        find("spleen-ct")


def test_weights_are_read_once_and_again_once_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"right")
    spec = replace(_LIVER, weights=weights, weights_sha256=sha256(b"right").hexdigest())
    packages = InstalledPackages([spec])
    packages.check_weights()
    with monkeypatch.context() as patch:
        patch.delattr(ModelSpec, "read_weights")
        packages.check_weights()

    changed = tmp_path / "changed"
    changed.write_bytes(b"wrong")
    changed.replace(weights)
    for _ in range(2):
        with pytest.raises(InvalidPackage, match="are not those of the manifest"):
            packages.check_weights()
    weights.unlink()
    with pytest.raises(InvalidPackage, match="No such file"):
        packages.check_weights()


def test_listing_models_imports_no_torch() -> None:
    code = (
        "import sys; from models.installed_packages import installed; installed(); "
        "import models.phantom, models.measurement; "
        "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
