"""Agreement of overlapping windows: the Dice coefficient over the voxels that they share."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.inference.predictor import Predictor, infer
from models.inference.window_agreement import MIN_SHARED_ML, Box, WindowAgreement
from models.installed_packages import find
from models.manifest import Code, Label
from models.phantom import abdomen

ORGANS = tuple(
    Label(n, name, Code("1", "L", "organ"), Code(str(n), "L", name), (1, 2, 3))
    for n, name in enumerate(("Liver", "Spleen"), start=1)
)
# So large that a single voxel is enough to measure.
VOXEL_MM3 = MIN_SHARED_ML * 1000


def scores_of(labels: np.ndarray) -> Tensor:
    """Class scores (1, 3, Z, Y, X) that are highest for these labels (Z, Y, X)."""
    classes = torch.from_numpy(labels.astype(np.int64))
    return torch.nn.functional.one_hot(classes, 3).movedim(-1, 0)[None].float()


def box(*ends: tuple[int, int]) -> Box:
    return tuple(slice(first, last) for first, last in ends)


def agreement_of(*windows: tuple[Box, np.ndarray]) -> dict[str, float]:
    agreement = WindowAgreement(3)
    for where, labels in windows:
        agreement.add(where, scores_of(labels))
    return agreement.dice(ORGANS, VOXEL_MM3)


def test_two_windows_are_compared_where_they_overlap_only() -> None:
    first, second = np.zeros((4, 2, 2), np.uint8), np.zeros((4, 2, 2), np.uint8)
    first[:2], second[2:] = 2, 2  # outside of the overlap
    first[2:, 0, 0] = 1  # two voxels of the overlap
    second[:2, 0, 0] = 1  # the same two
    second[0, 1, 1] = 1  # and a third
    whole = ((0, 2), (0, 2))
    found = agreement_of((box((0, 4), *whole), first), (box((2, 6), *whole), second))
    assert found == {"Liver": pytest.approx(2 * 2 / (2 + 3))}


def test_windows_without_overlap_and_single_windows_measure_nothing() -> None:
    labels = np.ones((4, 2, 2), np.uint8)
    whole = ((0, 2), (0, 2))
    assert agreement_of((box((0, 4), *whole), labels)) == {}
    assert agreement_of((box((0, 4), *whole), labels), (box((4, 8), *whole), labels)) == {}


def test_an_organ_that_only_one_window_finds_has_no_agreement() -> None:
    nothing, organ = np.zeros((4, 2, 2), np.uint8), np.ones((4, 2, 2), np.uint8)
    where = box((0, 4), (0, 2), (0, 2))
    assert agreement_of((where, nothing), (where, organ)) == {"Liver": 0.0}


def test_a_trace_of_an_organ_is_not_measured() -> None:
    labels = np.ones((1, 2, 5), np.uint8)  # ten voxels
    agreement = WindowAgreement(3)
    for _ in range(2):
        agreement.add(box((0, 1), (0, 2), (0, 5)), scores_of(labels))
    enough_mm3 = MIN_SHARED_ML * 1000 / 10
    assert agreement.dice(ORGANS, enough_mm3) == {"Liver": 1.0}
    assert agreement.dice(ORGANS, enough_mm3 * 0.99) == {}


def test_all_pairs_of_windows_in_three_directions_count() -> None:
    rng = np.random.default_rng(5)
    shape, size = (9, 8, 7), 4
    starts = [(0, 2, 4, 5), (0, 2, 4), (0, 3)]
    boxes = [box(*((s, s + size) for s in start)) for start in itertools.product(*starts)]
    windows = [(where, rng.integers(0, 3, (size, size, size))) for where in boxes]
    both, either = np.zeros(3), np.zeros(3)
    for first, second in itertools.combinations(windows, 2):
        fields = []
        for where, labels in (first, second):
            field = np.full(shape, -1)
            field[where] = labels
            fields.append(field)
        covered = (fields[0] >= 0) & (fields[1] >= 0)
        for index in (1, 2):
            a, b = (field[covered] == index for field in fields)
            both[index] += 2 * (a & b).sum()
            either[index] += a.sum() + b.sum()
    expected = {label.name: both[label.index] / either[label.index] for label in ORGANS}
    assert agreement_of(*windows) == pytest.approx(expected)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(find("liver-ct"), device="cpu")


def test_the_scores_are_the_same_with_and_without_agreement(predictor: Predictor) -> None:
    image = torch.rand((1, 1, 90, 32, 32), generator=torch.Generator().manual_seed(0))
    spec = replace(predictor.spec, patch=(48, 24, 0))
    with torch.inference_mode():
        plain = infer(predictor.network, image, spec)
        measured = infer(predictor.network, image, spec, agreement=WindowAgreement(2))
    assert torch.equal(plain, measured)


def test_a_series_of_one_window_has_no_agreement(predictor: Predictor) -> None:
    low, high = (
        abdomen(3, spacing_mm=(5.0, 3.0, 3.0), shape=(slices, 104, 128)) for slices in (40, 80)
    )
    assert predictor.predict(low.volume).window_agreement == {}
    assert set(predictor.predict(high.volume).window_agreement) == {"Liver"}
