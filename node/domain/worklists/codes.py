"""Coded entries of work items, and the coded reasons for which the node cancels one."""

from dataclasses import dataclass
from enum import Enum


class Discontinuation(Enum):
    """Why the node cancels a work item: code value (DCM) and meaning from PS3.16 CID 9300."""

    EQUIPMENT_FAILURE = ("110501", "Equipment failure")
    UNSPECIFIED = ("110513", "Discontinued for unspecified reason")
    OBJECTS_MALFORMED = ("110521", "Objects incorrectly formatted")
    OBJECT_TYPES_NOT_SUPPORTED = ("110522", "Object Types not supported")
    OBJECT_SET_INCOMPLETE = ("110523", "Object Set incomplete")
    ASSIGNMENT_REJECTED = ("110530", "Workitem assignment rejected by assigned resource")


@dataclass(frozen=True)
class Code:
    """A coded entry (PS3.3 8); `str` is its value and scheme."""

    value: str
    scheme: str
    meaning: str = ""

    def __str__(self) -> str:
        return f"{self.value} ({self.scheme})"

    def is_same(self, other: "Code") -> bool:
        """Whether value and scheme are equal, which identify a concept (PS3.3 8.1)."""
        return (self.value, self.scheme) == (other.value, other.scheme)

    @classmethod
    def of(cls, reason: Discontinuation) -> "Code":
        """Returns the code of a reason."""
        value, meaning = reason.value
        return cls(value, "DCM", meaning)
