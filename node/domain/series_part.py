"""One of the acquisitions, phases or reconstructions that a series holds, as a job of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

# The attributes by which a series divides, and their names in messages. What the scanner calls a
# phase comes first.
PART_ATTRIBUTES: Mapping[str, str] = {
    "TemporalPositionIdentifier": "temporal position",
    "TemporalPositionIndex": "temporal position",
    "TemporalPositionTimeOffset": "temporal offset",
    "NominalPercentageOfCardiacPhase": "cardiac phase",
    "AcquisitionNumber": "acquisition",
    "FrameAcquisitionNumber": "acquisition",
    "StackID": "stack",
    "KVP": "KVP",
    "ConvolutionKernel": "convolution kernel",
    "ImageType": "image type",
    "AcquisitionTime": "acquisition time",
    "TriggerTime": "trigger time",
}
# A longer value would fill the 64 characters of a Series Description.
_MAX_VALUE = 16


@dataclass(frozen=True)
class SeriesPart:
    """A part of a series that divides by the DICOM attribute `keyword`.

    `value` is the attribute's value in the part, empty if its images state none. Parts are numbered
    from 1 in the order of their image numbers. `digest` is that of the part's instances, or of its
    frames.
    """

    keyword: str
    value: str
    number: int
    count: int
    instance_count: int
    slice_count: int
    digest: str

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Returns the part that is stored as `asdict`; further keys do not count."""
        return cls(**{field.name: table[field.name] for field in fields(cls)})

    @property
    def key(self) -> str:
        """Identifies the part in its series, also after the series has grown."""
        return f"{self.keyword}={self.value}"

    @property
    def attribute(self) -> str:
        """The name of the attribute in plain words."""
        return PART_ATTRIBUTES[self.keyword]

    @property
    def title(self) -> str:
        """Names the part, such as `acquisition 2`; unique in its series."""
        if 0 < len(self.value) <= _MAX_VALUE:
            return f"{self.attribute} {self.value}"
        return f"part {self.number} of {self.count} by {self.attribute}"
