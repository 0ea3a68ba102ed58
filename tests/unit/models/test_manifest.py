"""A package's manifest: what is read from it, and how mistakes in it are reported."""

from pathlib import Path

import pytest

from models.manifest import MIN_WINDOW_AGREEMENT, Code, InvalidPackage, ModelSpec

_GOOD = """
model_id = "kidney-ct"
version = "1.2.0"
title = "Kidneys in CT"
manufacturer = "Somebody"
intended_use = "Research"
spacing_mm = [3.0, 2.0, 2.0]
hu_window = [-100, 300]
patch = [65, 0, 0]
overlap = 0.25
keep_largest = false
min_slices = 12
min_extent_mm = 50

[network]
kind = "unet"
parameters = { channels = [8, 16], residual_units = 1 }

[weights]
file = "weights.safetensors"
sha256 = "00ff"

[[labels]]
index = 1
name = "Kidney"
category = ["91772007", "SCT", "Organ"]
type = ["64033007", "SCT", "Kidney"]
display_rgb = [10, 20, 30]
min_volume_ml = 20.5
mean_hu = [-20, 400]
usual_volume_ml = [85, 280]
usual_hu = [10, 320]
min_window_agreement = 0.75
"""


def _load(folder: Path, text: str) -> ModelSpec:
    manifest = folder / "model.toml"
    manifest.write_text(text, encoding="utf-8")
    return ModelSpec.load(manifest)


def test_a_manifest_is_read_completely(tmp_path: Path) -> None:
    spec = _load(tmp_path, _GOOD)
    assert spec.model_id == "kidney-ct"
    assert spec.spacing_mm == (3.0, 2.0, 2.0)
    assert spec.hu_window == (-100.0, 300.0)
    assert spec.patch == (65, 0, 0)
    assert spec.keep_largest is False
    assert spec.network.parameters == {"channels": [8, 16], "residual_units": 1}
    assert spec.weights == tmp_path / "weights.safetensors"
    (kidney,) = spec.labels
    assert kidney.type == Code("64033007", "SCT", "Kidney")
    assert kidney.display_rgb == (10, 20, 30)
    assert kidney.min_volume_ml == 20.5
    assert kidney.max_volume_ml is None
    assert kidney.mean_hu == (-20.0, 400.0)
    assert kidney.usual_volume_ml == (85.0, 280.0)
    assert kidney.usual_hu == (10.0, 320.0)
    assert kidney.min_window_agreement == 0.75


def test_usual_ranges_are_optional(tmp_path: Path) -> None:
    text = _GOOD.replace("usual_volume_ml = [85, 280]\nusual_hu = [10, 320]\n", "")
    (kidney,) = _load(tmp_path, text).labels
    assert kidney.usual_volume_ml is None
    assert kidney.usual_hu is None


def test_the_agreement_of_windows_has_a_default(tmp_path: Path) -> None:
    (kidney,) = _load(tmp_path, _GOOD.replace("min_window_agreement = 0.75\n", "")).labels
    assert kidney.min_window_agreement == MIN_WINDOW_AGREEMENT


@pytest.mark.parametrize(
    ("written", "instead", "message"),
    [
        ('title = "Kidneys in CT"', "", "title is missing; it must be a text"),
        ('version = "1.2.0"', "version = 1.2", "version must be a text"),
        ("spacing_mm = [3.0, 2.0, 2.0]", "spacing_mm = [3.0, 2.0]", "spacing_mm must be a list of"),
        ("spacing_mm = [3.0, 2.0, 2.0]", "spacing_mm = [3.0, 0.0, 2.0]", "spacing_mm must be pos"),
        ("hu_window = [-100, 300]", "hu_window = [300, -100]", "hu_window must be [low, high]"),
        (
            "min_window_agreement = 0.75",
            "min_window_agreement = 75",
            "min_window_agreement of Kidney must be from 0 to 1",
        ),
        ("patch = [65, 0, 0]", "patch = [-1, 0, 0]", "patch must not be negative"),
        ("overlap = 0.25", "overlap = 1.0", "overlap must be"),
        ("overlap = 0.25", "overlap = true", "overlap must be a number"),
        ("keep_largest = false", 'keep_largest = "no"', "keep_largest must be true or false"),
        ('kind = "unet"', "", "network.kind is missing; it must be a text"),
        ('sha256 = "00ff"', "sha256 = 7", "weights.sha256 must be a text"),
        ("index = 1", "index = 2", "labels must be numbered"),
        ('name = "Kidney"', "", "labels[1].name is missing"),
        ('"64033007", "SCT", "Kidney"', '"64033007", "SCT"', "labels[1].type must be a list of 3"),
        (
            "[10, 20, 30]",
            "[10, 20, 300]",
            "display_rgb must be a list of 3 whole numbers from 0 to 255",
        ),
        ("min_volume_ml", "min_volume", "labels[1].min_volume: there is no such key"),
        ("[-20, 400]", "-20", "labels[1].mean_hu must be a list of 2 numbers"),
        ("[85, 280]", "[280, 85]", "usual_volume_ml of Kidney must be [low, high]"),
        ("[10, 320]", "[10]", "labels[1].usual_hu must be a list of 2 numbers"),
        ("overlap = 0.25", 'overlap = 0.25\nneeds = "7"', "needs package format 7"),
    ],
)
def test_a_mistake_is_reported_with_file_and_key(
    tmp_path: Path, written: str, instead: str, message: str
) -> None:
    assert written in _GOOD
    with pytest.raises(InvalidPackage) as caught:
        _load(tmp_path, _GOOD.replace(written, instead))
    assert message in str(caught.value)
    assert str(tmp_path / "model.toml") in str(caught.value)


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    text = _GOOD.replace('version = "1.2.0"', "").replace("min_slices = 12", 'min_slices = "12"')
    with pytest.raises(
        InvalidPackage, match=r"version is missing.*min_slices must be a whole number"
    ):
        _load(tmp_path, text)


def test_a_manifest_that_is_missing_or_no_toml_is_an_invalid_package(tmp_path: Path) -> None:
    with pytest.raises(InvalidPackage, match=r"line 1|end of document"):
        _load(tmp_path, "model_id = ")
    with pytest.raises(InvalidPackage, match="No such file"):
        ModelSpec.load(tmp_path / "absent.toml")
