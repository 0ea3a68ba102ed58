"""A mask knows the smallest box of each label."""

from dataclasses import replace

import highdicom as hd
import numpy as np

from models.mask import Mask
from models.phantom import LIVER

LABELS = tuple(replace(LIVER, index=index) for index in (1, 3, 4))


def mask_of(values: np.ndarray) -> Mask:
    return Mask(hd.Volume(values, np.eye(4), coordinate_system="PATIENT"), LABELS)


def test_the_box_of_a_label_holds_its_voxels_and_no_empty_plane() -> None:
    values = np.zeros((9, 8, 7), dtype=np.uint8)
    values[2:4, 3, 5:7] = 1
    values[8, 0, 6] = 4
    mask = mask_of(values)
    assert mask.box_of(LABELS[0]) == (slice(2, 4), slice(3, 4), slice(5, 7))
    assert mask.box_of(LABELS[1]) is None
    assert mask.box_of(LABELS[2]) == (slice(8, 9), slice(0, 1), slice(6, 7))


def test_an_empty_mask_has_no_boxes() -> None:
    mask = mask_of(np.zeros((3, 3, 3), dtype=np.uint8))
    assert [mask.box_of(label) for label in LABELS] == [None, None, None]
