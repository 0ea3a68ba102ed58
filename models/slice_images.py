"""Renders planes of a CT with organs, for result objects and for reports.

Radiological convention: the patient's right is on the left of the image, the head is at the top.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

# Slices toward the head, rows toward the back, columns toward the patient's left: a slice drawn
# row by row is then in radiological convention.
DISPLAY_ORIENTATION = "HPL"
# For the soft tissue of the abdomen.
_WINDOW_HU = (-160.0, 240.0)

Picture = NDArray[np.uint8]
Inside = NDArray[np.bool_]


def grey_plane(hu: NDArray[np.generic], spacing_mm: tuple[float, float], max_px: int) -> Picture:
    """Renders a plane (row, column) at its true proportions, as (row, column, RGB)."""
    low, high = _WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    height, width = hu.shape[0] * spacing_mm[0], hu.shape[1] * spacing_mm[1]
    scale = max_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    plane = Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(plane)[..., np.newaxis], 3, axis=2)


def resize_mask(inside: Inside, picture: Picture) -> Inside:
    """Scales a mask (row, column) to the size of the picture of its plane."""
    mask = Image.fromarray(inside.astype(np.uint8) * 255)
    size = (picture.shape[1], picture.shape[0])
    resized: Inside = np.asarray(mask.resize(size, Image.Resampling.NEAREST)) > 0
    return resized


def tint(picture: Picture, inside: Inside, rgb: tuple[int, int, int], opacity: float) -> None:
    """Blends a colour into the picture where `inside`; an `opacity` of 1 replaces it."""
    picture[inside] = (1 - opacity) * picture[inside] + opacity * np.array(rgb, dtype=np.float32)


def outline(picture: Picture, inside: Inside, rgb: tuple[int, int, int]) -> None:
    """Draws the edge of `inside`."""
    picture[inside & ~binary_erosion(inside)] = rgb


def pad_to_square(picture: Picture, side_px: int) -> Image.Image:
    """Centres the picture on a black square."""
    tile = Image.new("RGB", (side_px, side_px))
    height, width = picture.shape[:2]
    tile.paste(Image.fromarray(picture), ((side_px - width) // 2, (side_px - height) // 2))
    return tile
