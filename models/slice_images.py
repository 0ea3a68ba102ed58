"""Planes of a CT as pictures, with organs in them; for results and for reports.

Radiological convention: the patient's right is on the left of the picture, the head is up.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

# Slices toward the head, rows toward the back, columns toward the patient's left: such a slice,
# drawn row by row, is in radiological convention.
DISPLAY_ORIENTATION = "HPL"
# Soft tissue of the abdomen.
_WINDOW_HU = (-160.0, 240.0)

Picture = NDArray[np.uint8]
Inside = NDArray[np.bool_]


def grey_plane(
    hu: NDArray[np.generic], spacing_mm: tuple[float, float], longest_px: int
) -> Picture:
    """One plane (row, column) at its true proportions, as (row, column, RGB)."""
    low, high = _WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    height, width = hu.shape[0] * spacing_mm[0], hu.shape[1] * spacing_mm[1]
    scale = longest_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    plane = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(plane)[..., np.newaxis], 3, axis=2)


def fitted(inside: Inside, picture: Picture) -> Inside:
    """What is inside in a plane (row, column), in the picture of that plane."""
    own = Image.fromarray(inside.astype(np.uint8) * 255)
    size = (picture.shape[1], picture.shape[0])
    shown: Inside = np.asarray(own.resize(size, Image.Resampling.NEAREST)) > 0
    return shown


def tint(picture: Picture, inside: Inside, rgb: tuple[int, int, int], share: float) -> None:
    """Mix so much of a colour into the picture."""
    picture[inside] = (1 - share) * picture[inside] + share * np.array(rgb, dtype=np.float32)


def outline(picture: Picture, inside: Inside, rgb: tuple[int, int, int]) -> None:
    """Draw the edge of what is inside."""
    picture[inside & ~binary_erosion(inside)] = rgb


def squared(picture: Picture, side_px: int) -> Image.Image:
    """The picture in the middle of a black square."""
    tile = Image.new("RGB", (side_px, side_px))
    height, width = picture.shape[:2]
    tile.paste(Image.fromarray(picture), ((side_px - width) // 2, (side_px - height) // 2))
    return tile
