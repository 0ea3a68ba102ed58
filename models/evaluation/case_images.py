"""Renders a case for the report: outlines of ground truth and prediction over the CT."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.data import LabelledVolume
from models.manifest import Label
from models.mask import Mask
from models.slice_images import (
    DISPLAY_ORIENTATION,
    grey_plane,
    outline,
    pad_to_square,
    resize_mask,
    tint,
)

TRUTH_RGB = (255, 255, 255)
DISAGREEMENT_RGB = (255, 40, 40)
_DISAGREEMENT_SHARE = 0.3
_AXIAL_TILES = 5  # then the axial, coronal and sagittal plane with most disagreement
_COLUMNS = 4
_TILE_PX = 320
_GAP_PX = 4
_MARGIN_MM = 25.0  # of CT around the organs
_LIGHT = (230, 230, 230)


def picture(case: LabelledVolume, found: Mask) -> bytes:
    """Renders planes through the organs of the ground truth as a PNG: the prediction in the colour
    of its label, the ground truth in white, differences in red.

    Shows axial slices at even heights from the head down, then the axial, coronal and sagittal
    plane with the most disagreement; in radiological convention for any series orientation.
    """
    volume, truth = case.volume, case.truth
    known = {label.name for label in truth.labels}
    labels = tuple(label for label in found.labels if label.name in known)
    crop = _around(found, truth)
    # Crop and reorient all three alike.
    ct, predicted_crop, truth_crop = (
        # highdicom's annotation has only tuples of one index.
        one[crop].to_patient_orientation(DISPLAY_ORIENTATION)  # type: ignore[index]
        for one in (volume, found.volume, truth.volume)
    )
    names = {label.name: label.index for label in truth.labels}
    expected = _renumbered(truth_crop.array, {names[label.name]: label.index for label in labels})
    predicted = _renumbered(predicted_crop.array, {label.index: label.index for label in labels})
    tiles = []
    for axis, index, title in _planes(predicted, expected):
        plane = tuple(index if n == axis else slice(None) for n in range(3))
        spacing = tuple(mm for n, mm in enumerate(ct.spacing) if n != axis)
        layers = [_upright(a[plane], axis) for a in (ct.array, predicted, expected)]
        tiles.append(_tile(layers, (spacing[0], spacing[1]), labels, title))
    return _png(tiles)


def _around(found: Mask, truth: Mask) -> tuple[slice, slice, slice]:
    """Returns the box around both masks with a margin; the whole volume if both are empty."""
    inside = (found.volume.array > 0) | (truth.volume.array > 0)
    cut = []
    for axis, (length, mm) in enumerate(zip(inside.shape, found.volume.spacing, strict=True)):
        occupied = np.flatnonzero(inside.any(axis=tuple(n for n in range(3) if n != axis)))
        margin = round(_MARGIN_MM / mm)
        first, last = (
            (occupied[0] - margin, occupied[-1] + margin) if len(occupied) else (0, length)
        )
        cut.append(slice(max(0, int(first)), min(length, int(last) + 1)))
    z, y, x = cut
    return z, y, x


def _renumbered(values: NDArray[np.generic], to: dict[int, int]) -> NDArray[np.uint8]:
    """Maps the values by the table; values that it lacks become background."""
    table = np.zeros(256, dtype=np.uint8)
    for value, index in to.items():
        table[value] = index
    renumbered: NDArray[np.uint8] = table[values]
    return renumbered


def _planes(got: NDArray[np.integer], expected: NDArray[np.integer]) -> list[tuple[int, int, str]]:
    """Returns the planes to render: axis, index, title; axes head, back, left."""
    present = np.flatnonzero(((got > 0) | (expected > 0)).any(axis=(1, 2)))
    low, high = (int(present[0]), int(present[-1])) if len(present) else (0, len(got) - 1)
    even = np.rint(np.linspace(high, low, _AXIAL_TILES + 2)[1:-1]).astype(int)
    planes = [(0, int(k), "") for k in even]
    differs = got != expected
    for axis, name in enumerate(("axial", "coronal", "sagittal")):
        by_plane = differs.sum(axis=tuple(n for n in range(3) if n != axis))
        planes.append((axis, int(by_plane.argmax()), f"{name}, most disagreement"))
    return planes


def _upright(plane: NDArray[np.generic], axis: int) -> NDArray[np.generic]:
    """Turns the head to the top: axial rows run toward the back, the others toward the head."""
    return plane if axis == 0 else plane[::-1]


def _tile(
    layers: list[NDArray[np.generic]],
    spacing_mm: tuple[float, float],
    labels: tuple[Label, ...],
    title: str,
) -> Image.Image:
    hu, got, expected = layers
    colours = grey_plane(hu, spacing_mm, _TILE_PX)
    tint(colours, resize_mask(got != expected, colours), DISAGREEMENT_RGB, _DISAGREEMENT_SHARE)
    for label in labels:
        outline(colours, resize_mask(expected == label.index, colours), TRUTH_RGB)
    for label in labels:
        outline(colours, resize_mask(got == label.index, colours), label.display_rgb)
    tile = pad_to_square(colours, _TILE_PX)
    font = ImageFont.load_default(13)
    ImageDraw.Draw(tile).text(
        (4, 2), title, fill=_LIGHT, font=font, stroke_width=2, stroke_fill="black"
    )
    return tile


def _png(tiles: list[Image.Image]) -> bytes:
    rows = -(-len(tiles) // _COLUMNS)
    step = _TILE_PX + _GAP_PX
    sheet = Image.new("RGB", (_COLUMNS * step - _GAP_PX, rows * step - _GAP_PX))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % _COLUMNS * step, number // _COLUMNS * step))
    stream = BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()
