"""Colours of segments for the screen."""

from collections.abc import Sequence

import numpy as np

# The white of sRGB, D65. PS3.3 C.10.7.1.1 means D50, but viewers and highdicom use D65, and so the
# colours are those that a PACS shows.
_WHITE_D65 = np.array([0.95047, 1.0, 1.08883])
# From XYZ to linear sRGB (IEC 61966-2-1).
_XYZ_TO_RGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
_MAX_UINT16 = 65535


def rgb_of_lab(value: Sequence[int]) -> tuple[int, int, int]:
    """Returns a Recommended Display CIELab Value (PS3.3 C.10.7.1.1) as sRGB, 0 to 255."""
    lightness, a, b = (part / _MAX_UINT16 for part in value)
    y = (lightness * 100 + 16) / 116
    f = np.array([y + (a * 255 - 128) / 500, y, y - (b * 255 - 128) / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE_D65
    linear = np.clip(_XYZ_TO_RGB @ xyz, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(part) for part in np.rint(srgb * 255))
    return red, green, blue
