"""Quality findings: what a reader of a result must know besides its measurements."""

from dataclasses import dataclass
from enum import StrEnum

# Dice coefficient. A correct mask of a liver reaches at least 0.907, of a spleen 0.940, also in
# disease (Ahn 2020, doi 10.3348/kjr.2020.0237); two readers of a kidney reach about 0.95
# (Joskowicz 2019, doi 10.1007/s00330-018-5695-5).
DEFAULT_MIN_AGREEMENT = 0.9


class FindingKind(StrEnum):
    """A kind of finding; stable codes for rules and statistics."""

    CUT_BY_SERIES = "cut-by-series"  # the organ reaches the first or last slice
    TOUCHES_FIELD_OF_VIEW = "touches-field-of-view"  # the organ reaches the edge of the images
    SEVERAL_COMPONENTS = "several-components"
    HOLES = "holes"
    UNUSUAL_VOLUME = "unusual-volume"
    UNUSUAL_ATTENUATION = "unusual-attenuation"
    NOT_FOUND = "not-found"
    WINDOWS_DISAGREE = "windows-disagree"  # overlapping windows of the inference
    MODELS_DISAGREE = "models-disagree"  # another model on the same series
    SEVERAL_ACQUISITIONS = "several-acquisitions"  # the result is of one of them
    EXCLUDED_IMAGES = "excluded-images"  # objects of the series that are no slices


@dataclass(frozen=True)
class Finding:
    """A finding about one organ, or about the series if `organ` is empty.

    `text` is one sentence in plain words, without patient data.
    """

    kind: FindingKind
    organ: str  # the label's name; empty for the series
    text: str
