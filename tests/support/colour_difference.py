"""The colour difference CIEDE2000 (CIE 142-2001), as Sharma, Wu and Dalal (2005) compute it."""

import math

Lab = tuple[float, float, float]  # CIELab: L*, a*, b*


def delta_e_2000(first: Lab, second: Lab) -> float:
    """Returns the difference of two colours; 1 is barely visible side by side."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean_c7 = ((math.hypot(a1, b1) + math.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * math.sqrt(mean_c7 / (mean_c7 + 25**7))
    c1, c2 = math.hypot(stretch * a1, b1), math.hypot(stretch * a2, b2)
    h1, h2 = _hue(stretch * a1, b1), _hue(stretch * a2, b2)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2
    hue_angle, mean_h = _hue_difference_and_mean(c1 * c2, h1, h2)
    delta_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(hue_angle) / 2)
    t = (
        1
        - 0.17 * math.cos(math.radians(mean_h - 30))
        + 0.24 * math.cos(math.radians(2 * mean_h))
        + 0.32 * math.cos(math.radians(3 * mean_h + 6))
        - 0.20 * math.cos(math.radians(4 * mean_h - 63))
    )
    lightness = (mean_l - 50) ** 2
    weighted_l = (l2 - l1) / (1 + 0.015 * lightness / math.sqrt(20 + lightness))
    weighted_c = (c2 - c1) / (1 + 0.045 * mean_c)
    weighted_h = delta_h / (1 + 0.015 * mean_c * t)
    rotation = (
        -2
        * math.sqrt(mean_c**7 / (mean_c**7 + 25**7))
        * math.sin(math.radians(60 * math.exp(-(((mean_h - 275) / 25) ** 2))))
    )
    return math.sqrt(
        weighted_l**2 + weighted_c**2 + weighted_h**2 + rotation * weighted_c * weighted_h
    )


def _hue(a: float, b: float) -> float:
    """Returns the hue angle in degrees, from 0 to 360; 0 for grey."""
    return math.degrees(math.atan2(b, a)) % 360 if a or b else 0.0


def _hue_difference_and_mean(chroma_product: float, h1: float, h2: float) -> tuple[float, float]:
    """Returns the signed difference and the mean of two hues in degrees, the short way round."""
    if chroma_product == 0:
        return 0.0, h1 + h2
    difference = h2 - h1
    if abs(difference) <= 180:
        return difference, (h1 + h2) / 2
    shorter = difference - 360 if difference > 180 else difference + 360
    return shorter, (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2
