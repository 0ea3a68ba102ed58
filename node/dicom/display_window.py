"""Values of an image as brightness on a screen: rescale, window (PS3.3 C.11.1, C.11.2)."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut

# Larger exponents of the sigmoid function change no brightness, but would overflow.
_MAX_EXPONENT = 60.0


class WindowFunction(StrEnum):
    """The function from values to brightness (PS3.3 C.11.2.1)."""

    LINEAR = "linear"
    LINEAR_EXACT = "linear-exact"
    SIGMOID = "sigmoid"


@dataclass(frozen=True)
class DisplayWindow:
    """A window of rescaled values, for CT in HU."""

    center: float
    width: float
    function: WindowFunction

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `CENTER,WIDTH,FUNCTION` (PS3.18 8.3.5.1.4).

        Raises:
            ValueError: a part is missing or invalid.
        """
        center, width, function = text.split(",")
        window = cls(float(center), float(width), WindowFunction(function.lower()))
        if not (math.isfinite(window.center) and math.isfinite(window.width)):
            raise ValueError("center and width must be finite")
        if window.width <= 0 or (window.function is WindowFunction.LINEAR and window.width < 1):
            raise ValueError("the width is too small")
        return window

    def brightness(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Returns 0 to 255 for each value (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
        match self.function:
            case WindowFunction.LINEAR:
                if self.width == 1:
                    fraction = (values > self.center - 0.5).astype(np.float64)
                else:
                    fraction = (values - (self.center - 0.5)) / (self.width - 1) + 0.5
            case WindowFunction.LINEAR_EXACT:
                fraction = (values - self.center) / self.width + 0.5
            case WindowFunction.SIGMOID:
                exponent = -4 * (values - self.center) / self.width
                fraction = 1 / (1 + np.exp(exponent.clip(-_MAX_EXPONENT, _MAX_EXPONENT)))
        brightness: NDArray[np.uint8] = np.rint(fraction.clip(0, 1) * 255).astype(np.uint8)
        return brightness


def rescaled(pixels: NDArray[np.generic], header: Dataset, number: int) -> NDArray[np.float64]:
    """Returns the rescaled values of a frame, from 1; a multi-frame image has one scale for each.

    (PS3.3 C.11.1.1, C.7.6.16.2.9)
    """
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    own = per_frame[number - 1 : number]
    for groups in (*own, *(header.get("SharedFunctionalGroupsSequence") or [])):
        for scale in groups.get("PixelValueTransformationSequence") or []:
            slope, intercept = float(scale.RescaleSlope), float(scale.RescaleIntercept)
            return pixels.astype(np.float64) * slope + intercept
    return np.asarray(apply_modality_lut(pixels, header), np.float64)
