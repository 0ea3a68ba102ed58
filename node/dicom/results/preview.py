"""A picture of the result for a first look: slices with the organs outlined, no patient data.

Radiological convention: the patient's right is on the left of the picture, the head is up.
"""

from io import BytesIO

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.manifest import Label
from models.mask import Mask
from models.slice_images import DISPLAY_ORIENTATION, fitted, grey_plane, outline, squared, tint

_AXIAL_TILES = 6
_COLUMNS = 4
_TILE_PX = 256
_GAP_PX = 4
_TEXT_PX = 28
_FILL_SHARE = 0.25
_LIGHT = (230, 230, 230)


def overlay_png(volume: hd.Volume, mask: Mask) -> bytes:
    """A PNG: axial slices through the organs, a coronal and a sagittal one, the volumes in mL.

    `volume` in HU and `mask` lie on one grid, of any orientation.
    """
    shown = volume.to_patient_orientation(DISPLAY_ORIENTATION)
    labels = mask.volume.to_patient_orientation(DISPLAY_ORIENTATION).array
    found = np.argwhere(labels > 0)
    middle = found.mean(axis=0).astype(int) if len(found) else np.array(shown.spatial_shape) // 2
    low, high = (found[:, 0].min(), found[:, 0].max()) if len(found) else (0, labels.shape[0] - 1)
    # Shares of the organ's height that show it, away from its very tips; from the head down.
    axial = np.rint(np.linspace(high, low, _AXIAL_TILES + 2)[1:-1]).astype(int)
    across, down, along = shown.spacing[2], shown.spacing[1], shown.spacing[0]
    tiles = [
        _tile(shown.array[k], labels[k], (down, across), mask.labels, left_side="R") for k in axial
    ]
    j, i = int(middle[1]), int(middle[2])
    coronal = shown.array[::-1, j], labels[::-1, j]
    sagittal = shown.array[::-1, :, i], labels[::-1, :, i]
    tiles.append(_tile(*coronal, (along, across), mask.labels, "R"))
    tiles.append(_tile(*sagittal, (along, down), mask.labels, "A"))
    return _png(tiles, _captions(mask))


def _tile(
    hu: NDArray[np.generic],
    labels: NDArray[np.integer],
    spacing_mm: tuple[float, float],
    known: tuple[Label, ...],
    left_side: str,
) -> Image.Image:
    """One plane (row, column) at its true proportions, in the middle of a square tile."""
    colours = grey_plane(hu, spacing_mm, _TILE_PX)
    for label in known:
        inside = fitted(labels == label.index, colours)
        tint(colours, inside, label.display_rgb, _FILL_SHARE)
        outline(colours, inside, label.display_rgb)
    tile = squared(colours, _TILE_PX)
    ImageDraw.Draw(tile).text(
        (4, _TILE_PX // 2 - 8), left_side, fill=_LIGHT, font=ImageFont.load_default(14)
    )
    return tile


def _captions(mask: Mask) -> list[tuple[str, tuple[int, int, int]]]:
    """The text line: each organ with its volume in its colour, then the warning."""
    voxel_ml = float(mask.volume.voxel_volume) / 1000
    texts = []
    for label in mask.labels:
        inside = mask.of(label)
        # An organ that reaches the first or last slice may go on outside the series.
        at_least = "at least " if inside[0].any() or inside[-1].any() else ""
        volume = f"{at_least}{np.count_nonzero(inside) * voxel_ml:.0f} mL"
        told = volume if inside.any() else "not found"
        texts.append((f"{label.name} {told}", label.display_rgb))
    return [*texts, ("Not for diagnostic use", _LIGHT)]


def _png(tiles: list[Image.Image], captions: list[tuple[str, tuple[int, int, int]]]) -> bytes:
    rows = -(-len(tiles) // _COLUMNS)
    step = _TILE_PX + _GAP_PX
    width = _COLUMNS * step - _GAP_PX
    font = ImageFont.load_default(18)
    places, lines = _places([font.getlength(text) for text, _ in captions], width)
    sheet = Image.new("RGB", (width, rows * step - _GAP_PX + lines * _TEXT_PX))
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % _COLUMNS * step, number // _COLUMNS * step))
    draw = ImageDraw.Draw(sheet)
    for (text, colour), (left, line) in zip(captions, places, strict=True):
        draw.text((left, rows * step + line * _TEXT_PX + 1), text, fill=colour, font=font)
    stream = BytesIO()
    sheet.save(stream, format="PNG")
    return stream.getvalue()


def _places(lengths: list[float], width: int) -> tuple[list[tuple[float, int]], int]:
    """Where texts of these lengths begin, in pixels and lines, and how many lines there are."""
    places, left, line = [], 8.0, 0
    for length in lengths:
        if left + length > width and left > 8:
            left, line = 8.0, line + 1
        places.append((left, line))
        left += length + 24
    return places, line + 1
