"""The pipeline from files to SEG: the mask matches the liver, or the series is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest

from node.domain.errors import Rejected, RejectionReason
from node.domain.findings import Finding, FindingKind
from node.pipeline import ResultRequest, SegmentationResult, segment
from tests.support.dicom.body import (
    AXIAL,
    CORONAL,
    FEET_FIRST,
    Directions,
    grid,
    in_liver,
    oblique,
    voxel_positions,
)
from tests.support.dicom.builders import (
    MADE_AT,
    ThresholdSegmenter,
    ct_series,
    enhanced_ct,
    model_spec,
)
from tests.support.shared_data import ct_files

REQUEST = ResultRequest("job", MADE_AT)


def decoded_segment(result: SegmentationResult) -> hd.Volume:
    """The segment as a reader decodes it from the SEG alone, with its geometry."""
    return hd.seg.Segmentation.from_dataset(result.dataset).get_volume(combine_segments=True)


def dice_coefficient(a: np.ndarray, b: np.ndarray) -> float:
    """The Dice coefficient of two masks; 1 if they are equal."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_the_mask_matches_the_liver(directions: Directions, tmp_path: Path) -> None:
    result = segment(ct_series(directions).write(tmp_path), ThresholdSegmenter(), REQUEST)
    decoded = decoded_segment(result)
    truth = in_liver(voxel_positions(decoded))
    assert dice_coefficient(decoded.array > 0, truth) > 0.999
    # The mirror image, on the patient's left, must not match.
    mirrored = in_liver(voxel_positions(decoded) * (-1.0, 1.0, 1.0))
    assert dice_coefficient(decoded.array > 0, mirrored) < 0.2


@pytest.mark.parametrize("directions", [pytest.param(oblique(), id="oblique")])
def test_the_mask_of_an_enhanced_ct_matches_the_liver(
    directions: Directions, tmp_path: Path
) -> None:
    path = tmp_path / "enhanced.dcm"
    enhanced_ct(directions, frame_order=[*range(23, -1, -1)]).save_as(path)
    decoded = decoded_segment(segment([path], ThresholdSegmenter(), REQUEST))
    assert dice_coefficient(decoded.array > 0, in_liver(voxel_positions(decoded))) > 0.999


def test_a_result_has_volume_and_timings(tmp_path: Path) -> None:
    shares: list[float] = []
    result = segment(
        ct_series().write(tmp_path), ThresholdSegmenter(), REQUEST, progress=shares.append
    )
    voxel_ml = 6 * 3 * 3 / 1000
    truth_ml = np.count_nonzero(in_liver(voxel_positions(grid(AXIAL)))) * voxel_ml
    assert result.content.measurements["Liver"].volume_ml == pytest.approx(truth_ml)
    assert result.content.measurements["Liver"].mean_hu == pytest.approx(120)
    assert set(result.timings_s) == {"read", "segment", "measure", "encode"}
    assert result.content.source.slice_count == 24
    assert shares[-1] == 1.0


def test_what_was_left_out_of_the_series_is_stated(tmp_path: Path) -> None:
    paths = ct_series(localizer=[0, 1]).write(tmp_path)
    result = segment(paths, ThresholdSegmenter(), REQUEST)
    stated = "2 objects of the series are no slices and were left out: 2 localizers."
    assert result.content.findings[0] == Finding(FindingKind.EXCLUDED_IMAGES, "", stated)
    assert "from 22 slices" in result.dataset.DerivationDescription
    assert result.dataset.DerivationDescription.endswith(stated)
    decoded = decoded_segment(result)
    assert dice_coefficient(decoded.array > 0, in_liver(voxel_positions(decoded))) > 0.999


def test_a_series_with_too_few_slices_is_refused(tmp_path: Path) -> None:
    paths = ct_series(geometry=grid(slices=3)).write(tmp_path)
    with pytest.raises(Rejected) as caught:
        segment(paths, ThresholdSegmenter(), REQUEST)
    assert caught.value.reason is RejectionReason.TOO_FEW_SLICES
    assert str(caught.value).startswith("The series has 3 slices; liver-test needs at least 10")


def test_a_series_with_too_short_an_extent_is_refused(tmp_path: Path) -> None:
    paths = ct_series(geometry=grid(slices=12, spacing_mm=(1.0, 3.0, 3.0))).write(tmp_path)
    with pytest.raises(Rejected, match="covers 11 mm of the body") as caught:
        segment(paths, ThresholdSegmenter(), REQUEST)
    assert caught.value.reason is RejectionReason.TOO_FEW_SLICES


def test_a_series_without_liver_is_refused_with_advice(tmp_path: Path) -> None:
    paths = ct_series(geometry=grid(slices=20, centre=(0.0, 0.0, 150.0))).write(tmp_path)
    with pytest.raises(Rejected, match="No liver was found") as caught:
        segment(paths, ThresholdSegmenter(), REQUEST)
    assert caught.value.reason is RejectionReason.REGION_NOT_COVERED
    assert "Send a series that covers the liver" in str(caught.value)


def test_a_liver_below_its_minimum_volume_is_refused(tmp_path: Path) -> None:
    segmenter = ThresholdSegmenter(model_spec(min_volume_ml=500))
    with pytest.raises(Rejected, match="at least 500 mL") as caught:
        segment(ct_series().write(tmp_path), segmenter, REQUEST)
    assert caught.value.reason is RejectionReason.REGION_NOT_COVERED


def test_the_real_three_slice_series_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        segment(ct_files("dcmqi-3slice"), ThresholdSegmenter(), REQUEST)
    assert caught.value.reason is RejectionReason.TOO_FEW_SLICES
    assert "3 slices" in str(caught.value)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"max_volume_ml": 5.0}, "at 120 HU on average, which no liver does"),
        ({"mean_hu": (-60.0, 100.0)}, "at 120 HU on average, which no liver does"),
    ],
)
def test_an_organ_with_implausible_measurements_is_refused(
    tmp_path: Path, bounds: dict[str, Any], message: str
) -> None:
    spec = model_spec()
    segmenter = ThresholdSegmenter(
        replace(spec, labels=tuple(replace(label, **bounds) for label in spec.labels))
    )
    with pytest.raises(Rejected, match=message) as caught:
        segment(ct_series().write(tmp_path), segmenter, REQUEST)
    assert caught.value.reason is RejectionReason.NOT_BELIEVABLE
