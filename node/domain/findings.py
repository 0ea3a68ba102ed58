"""Quality findings: what a reader of a result must know besides its measurements."""

from dataclasses import dataclass
from enum import StrEnum

# Models agree on whole organs to a Dice coefficient of 0.93 or more where both are right, and a
# reader sees the difference of masks below 0.9: their volumes may differ by a fifth.
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
