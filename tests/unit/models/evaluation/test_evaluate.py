"""Scores of masks with known results, and the reports about them."""

import json
import re
from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from models.data import LabelledVolume
from models.evaluation import compare, evaluate
from models.evaluation.case_images import TRUTH_RGB, picture
from models.evaluation.report import render_report
from models.manifest import ModelSpec
from models.mask import Mask
from models.phantom import LIVER, pelvis
from node.offline.convert import to_nifti
from node.offline.evaluate import NodeSegmenter
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    Directions,
    body,
    grid,
    in_liver,
    voxel_positions,
)
from tests.support.dicom.builders import SPLEEN, ThresholdSegmenter, model_spec
from tests.support.dicom.labelled_cases import write_cases
from tests.support.whole_command_line import app

_SPACING_MM = (2.0, 1.0, 1.0)


def _box(shift: tuple[int, int, int] = (0, 0, 0)) -> NDArray[np.bool_]:
    """A box of 20 × 20 × 20 voxels, shifted by `shift` voxels."""
    mask = np.zeros((40, 50, 60), dtype=bool)
    z, y, x = (10 + s for s in shift)
    mask[z : z + 20, y : y + 20, x : x + 20] = True
    return mask


def test_equal_masks_score_perfectly() -> None:
    scores = compare(_box(), _box(), _SPACING_MM)
    assert (scores.dice, scores.surface_dice, scores.hd95_mm) == (1.0, 1.0, 0.0)
    assert (scores.volume_error, scores.accuracy) == (0.0, 1.0)
    assert scores.truth_ml == scores.found_ml == pytest.approx(8000 * 2 / 1000)


@pytest.mark.parametrize(
    ("shift", "apart_mm"), [((2, 0, 0), 4.0), ((0, 4, 0), 4.0), ((0, 0, 2), 2.0)]
)
def test_a_shifted_mask_has_the_shift_in_mm_as_its_surface_distance(
    shift: tuple[int, int, int], apart_mm: float
) -> None:
    scores = compare(_box(shift), _box(), _SPACING_MM, tolerance_mm=3.0)
    moved = max(shift)
    assert scores.dice == pytest.approx((20 - moved) / 20)
    assert scores.hd95_mm == pytest.approx(apart_mm)
    assert scores.surface_dice is not None
    assert (scores.surface_dice == 1.0) is (apart_mm <= 3.0)
    assert scores.volume_error == 0.0


def test_a_mask_at_the_edge_of_the_image_has_a_surface_there() -> None:
    whole = np.ones((8, 8, 8), dtype=bool)
    assert compare(whole, whole, _SPACING_MM).surface_dice == 1.0


def test_scores_of_empty_masks_are_none_where_nothing_can_be_measured() -> None:
    nothing = np.zeros_like(_box())
    both = compare(nothing, nothing, _SPACING_MM)
    assert (both.dice, both.surface_dice, both.hd95_mm, both.volume_error) == (None,) * 4
    missed = compare(nothing, _box(), _SPACING_MM)
    assert (missed.dice, missed.surface_dice, missed.hd95_mm) == (0.0, 0.0, None)
    assert missed.volume_error == -1.0
    invented = compare(_box(), nothing, _SPACING_MM)
    assert (invented.dice, invented.hd95_mm, invented.volume_error) == (0.0, None, None)


class _ShiftedGroundTruth:
    """Predicts the ground truth shifted by as many voxels as the name of the case says."""

    def __init__(self, cases: list[LabelledVolume]) -> None:
        self.spec: ModelSpec = model_spec()
        self._shift_of = {id(case.volume): int(case.name) for case in cases}

    def predict(self, volume: hd.Volume) -> Mask:
        shifted = _box((0, 0, self._shift_of[id(volume)])).astype(np.uint8)
        return Mask(volume.with_array(shifted), self.spec.labels)


def _case(name: str) -> LabelledVolume:
    affine = np.diag([*_SPACING_MM, 1.0])
    truth = hd.Volume(_box().astype(np.uint8), affine, coordinate_system="PATIENT")
    volume = truth.with_array(np.where(truth.array > 0, 100, -1000).astype(np.int16))
    return LabelledVolume(name, volume, Mask(truth, (LIVER,)))


def test_the_report_shows_the_worst_cases_first_and_is_self_contained() -> None:
    cases = [_case(name) for name in ("0", "6", "2")]
    evaluation = evaluate(
        _ShiftedGroundTruth(cases),
        cases,
        picture=picture,
        failures={"torn<b>": "it cannot be read"},
    )
    page = render_report(evaluation, worst=2)
    assert re.findall(r"<h3>(\d): Dice ([\d.]+)</h3>", page) == [("6", "0.700"), ("2", "0.900")]
    assert "torn&lt;b&gt;: it cannot be read" in page
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r'(src|href)="(?!data:)', page)
    summary = evaluation.summary()[evaluation.cases[0].labels[0].label]
    assert summary["dice"] == {
        "mean": pytest.approx((1 + 0.7 + 0.9) / 3),
        "median": pytest.approx(0.9),
        "worst": pytest.approx(0.7),
        "measured": 3,
    }
    assert summary["hd95_mm"]["worst"] == pytest.approx(6.0)


def _body(
    directions: Directions = AXIAL, shift_mm: float = 0.0, z_mm: float = 0.0
) -> LabelledVolume:
    """A body whose ground truth lies `shift_mm` further to the left than its liver."""
    volume = body(grid(directions, centre=(0.0, 0.0, z_mm)))
    outlined = in_liver(voxel_positions(volume) - np.array([shift_mm, 0, 0])).astype(np.uint8)
    return LabelledVolume(f"{shift_mm:g}", volume, Mask(volume.with_array(outlined), (LIVER,)))


def test_a_case_that_the_node_refuses_is_listed_and_not_scored() -> None:
    beyond, whole = _body(z_mm=200.0), _body(shift_mm=6.0)
    evaluation = evaluate(NodeSegmenter(ThresholdSegmenter()), [beyond, whole], picture=picture)
    assert [case.name for case in evaluation.cases] == ["6"]
    refusal = evaluation.refused["0"]
    assert "No liver was found" in refusal.reason
    assert refusal.truth_ml == {"Liver": 0.0}
    assert evaluation.to_json()["refused"]["0"]["truth_ml"] == {"Liver": 0.0}
    assert "No liver was found" in render_report(evaluation)


def test_organs_without_ground_truth_are_not_scored() -> None:
    segmenter = ThresholdSegmenter(model_spec(labels=(LIVER, SPLEEN)))
    evaluation = evaluate(segmenter, [_body()])
    assert [own.label for own in evaluation.cases[0].labels] == ["Liver"]
    assert list(evaluation.summary()) == ["Liver"]


@pytest.mark.parametrize("directions", [AXIAL, CORONAL, FEET_FIRST])
def test_a_picture_shows_the_left_side_on_the_right_for_any_orientation(
    directions: Directions,
) -> None:
    case = _body(directions, shift_mm=20.0)
    with Image.open(BytesIO(picture(case, ThresholdSegmenter().predict(case.volume)))) as image:
        tile = np.asarray(image.convert("RGB"))[:320, :320]
    found, truth = (
        np.argwhere((tile == rgb).all(axis=-1))[:, 1].mean()
        for rgb in (LIVER.display_rgb, TRUTH_RGB)
    )
    assert truth > found + 20


def test_the_evaluate_command_reports_a_scan_without_a_liver(tmp_path: Path) -> None:
    scan = pelvis(1).volume
    to_nifti(scan, tmp_path / "pelvis.nii.gz")
    nothing = scan.with_array(np.zeros(scan.spatial_shape, dtype=np.uint8))
    to_nifti(nothing, tmp_path / "pelvis_seg.nii.gz")
    command = ["evaluate", "liver-ct", tmp_path, "--out", tmp_path, "--device", "cpu"]
    result = CliRunner().invoke(app, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    assert "refused: pelvis: No liver was found" in result.output
    scores = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    assert (scores["cases"], scores["refused"]["pelvis"]["truth_ml"]) == ([], {"Liver": 0.0})


def test_the_evaluate_command_scores_a_package_on_a_data_set(tmp_path: Path) -> None:
    write_cases(tmp_path, seeds=(51,))
    (tmp_path / "cases" / "torn.nii.gz").write_bytes(b"")
    (tmp_path / "cases" / "torn_seg.nii.gz").write_bytes(b"")
    result = CliRunner().invoke(
        app,
        [
            "evaluate",
            "liver-ct",
            str(tmp_path / "cases"),
            "--out",
            str(tmp_path),
            "--device",
            "cpu",
        ],
    )
    assert result.exit_code == 1, result.output
    scores = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    assert scores["model"]["id"] == "liver-ct"
    (case,) = scores["cases"]
    assert case["name"] == "body51"
    assert case["labels"]["Liver"]["dice"] > 0.8
    assert "torn" in scores["failures"]
    assert "body51" in (tmp_path / "report.html").read_text("utf-8")


def test_the_evaluate_command_scores_phantoms(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["evaluate", "liver-ct", "--phantoms", "300", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores.json").read_text("utf-8"))
    assert scores["summary"]["Liver"]["dice"]["mean"] > 0.85
