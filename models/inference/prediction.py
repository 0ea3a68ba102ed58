"""What a model finds in a volume."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.mask import Mask


@dataclass(frozen=True)
class Prediction(Mask):
    """The mask that a model finds, and how far the windows of its inference agree.

    `window_agreement` is the Dice coefficient of overlapping windows by label name, 0 to 1; see
    `models.inference.window_agreement`. A label for which it is not measured is absent.
    """

    window_agreement: Mapping[str, float] = field(default_factory=dict)
