"""The three families of expected errors; any other exception is a defect.

NodeError
├── Rejected        the input is not suitable: final, worded for clinicians
│   └── NotAccepted a destination does not store this kind of object
├── Transient       may succeed later: retried with back-off, then parked
└── Misconfigured   the configuration is wrong: stops the start, names file, line and key
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Self


class NodeError(Exception):
    """An error that the node expects and handles."""


class RejectionReason(StrEnum):
    """Why a series or a request is refused: stable codes; the message is for people."""

    NOT_CT = "not-ct"
    LOCALIZER = "localizer"
    UNREADABLE = "unreadable"
    MISSING_GEOMETRY = "missing-geometry"
    MISSING_SLICES = "missing-slices"
    DUPLICATE_POSITIONS = "duplicate-positions"
    UNEVEN_SPACING = "uneven-spacing"
    GANTRY_TILT = "gantry-tilt"
    MIXED_GEOMETRY = "mixed-geometry"
    SEVERAL_ACQUISITIONS = "several-acquisitions"
    TOO_FEW_SLICES = "too-few-slices"
    REGION_NOT_COVERED = "region-not-covered"
    NOT_BELIEVABLE = "not-believable"
    INVALID_INSTANCE = "invalid-instance"
    INVALID_REQUEST = "invalid-request"  # what a person or a program asks for


class Rejected(NodeError):
    """The input cannot be processed, now or later; `str(error)` is the reason in plain words."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotAccepted(Rejected):
    """The destination does not store this kind of object."""

    def __init__(self, message: str) -> None:
        super().__init__(RejectionReason.INVALID_INSTANCE, message)


class Transient(NodeError):
    """A temporary condition outside the node, such as an unreachable PACS or a full disk."""


class Misconfigured(NodeError):
    """The configuration is wrong; the message starts with `file:line: key` as far as known."""

    def __init__(
        self, message: str, *, file: Path | None = None, line: int | None = None, key: str = ""
    ) -> None:
        location = str(file) if file is not None else "configuration"
        if line is not None:
            location = f"{location}:{line}"
        super().__init__(f"{location}: {key}: {message}" if key else f"{location}: {message}")
        self.message = message
        self.file = file
        self.line = line
        self.key = key
        self._combined: tuple[Self, ...] = ()

    @property
    def mistakes(self) -> tuple[Self, ...]:
        """The errors that this one combines; itself if it is a single one."""
        return self._combined or (self,)

    @classmethod
    def combined(cls, errors: Sequence[Self]) -> Self:
        """Returns one error that lists all `errors` (at least one), one per line."""
        first = errors[0]
        error = cls("", file=first.file, line=first.line, key=first.key)
        error.args = ("\n".join(str(each) for each in errors),)
        error._combined = tuple(errors)
        return error
