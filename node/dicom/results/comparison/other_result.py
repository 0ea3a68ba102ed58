"""The stored result of another model on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OtherResult:
    """What another job with the same series content has stored.

    `segmentation` is a local copy of its SEG, in any encoding. `measurements` are by label name,
    as in the job's row.
    """

    model_id: str
    model_version: str
    segmentation: Path
    measurements: Mapping[str, Mapping[str, float | bool]]

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return f"{self.model_id} {self.model_version}"
