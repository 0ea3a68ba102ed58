"""The preview image: radiological convention, true proportions, no patient data."""

from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.measurement import measure
from node.dicom.results.preview import overlay_png
from tests.support.dicom.body import AXIAL, CORONAL, FEET_FIRST, Directions, body, grid, oblique
from tests.support.dicom.builders import LIVER, ThresholdSegmenter

_TILE, _STEP = 256, 260
_CORONAL_TILE = (1, 2)  # row and column of tiles


def preview(volume: hd.Volume) -> NDArray[np.uint8]:
    """Returns the preview as (row, column, RGB)."""
    mask = ThresholdSegmenter().predict(volume)
    png = overlay_png(volume, mask, measure(volume, mask))
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        assert not image.text  # type: ignore[attr-defined] # only PNG images have texts; none is written
        return np.asarray(image.convert("RGB"))


def tile(sheet: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    top, left = row * _STEP, column * _STEP
    return sheet[top : top + _TILE, left : left + _TILE]


def outlined(sheet: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Returns the pixels (row, column) in the liver's colour."""
    return np.argwhere((sheet == LIVER.display_rgb).all(axis=-1))


@pytest.mark.parametrize(
    "directions",
    [
        pytest.param(AXIAL, id="axial"),
        pytest.param(FEET_FIRST, id="feet-first"),
        pytest.param(CORONAL, id="coronal"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_the_liver_is_on_the_left_of_the_image(directions: Directions) -> None:
    sheet = preview(body(grid(directions, slices=40, spacing_mm=(4.0, 4.0, 4.0))))
    for position in ((0, 1), (0, 2), _CORONAL_TILE):
        edge = outlined(tile(sheet, *position))
        assert len(edge) > 40
        assert edge[:, 1].mean() < _TILE / 2  # the patient's right
    # The centre of the liver is 14 mm above the centre of the body.
    assert outlined(tile(sheet, *_CORONAL_TILE))[:, 0].mean() < _TILE / 2


def test_planes_have_their_true_proportions() -> None:
    """The liver is 60 mm high and 48 mm wide, however thick the slices are."""
    for thick in (2.0, 10.0):
        slices = round(200 / thick)
        sheet = preview(body(grid(AXIAL, slices=slices, spacing_mm=(thick, 4.0, 4.0))))
        edge = outlined(tile(sheet, *_CORONAL_TILE))
        height, width = edge.max(axis=0) - edge.min(axis=0)
        assert height / width == pytest.approx(60 / 48, rel=0.2)


def test_an_empty_mask_gives_an_image() -> None:
    sheet = preview(body(grid(AXIAL, centre=(0.0, 0.0, 200.0))))
    assert len(outlined(sheet[: 2 * _STEP])) == 0


def test_the_same_result_gives_the_same_image() -> None:
    volume = body(grid(AXIAL))
    mask = ThresholdSegmenter().predict(volume)
    measured = measure(volume, mask)
    assert overlay_png(volume, mask, measured) == overlay_png(volume, mask, measured)
