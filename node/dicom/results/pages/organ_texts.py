"""The measurements of an organ in words, as every page and picture states them."""

from models.measurement import Measurement
from node.domain.texts.numbers import millilitres

# On a result that a rule marks because of its findings.
CHECK_FINDINGS = "Check the findings before use"


def volume_text(measurement: Measurement) -> str:
    """Returns the volume, such as `1523 mL`; `at least` if the images do not show the whole."""
    if measurement.volume_ml <= 0:
        return "not found"
    at_least = "at least " if measurement.is_lower_bound else ""
    return f"{at_least}{millilitres(measurement.volume_ml)}"


def attenuation_text(measurement: Measurement) -> str:
    """Returns the mean attenuation, such as `104 HU`."""
    return "not measured" if measurement.mean_hu is None else f"{measurement.mean_hu:.0f} HU"
