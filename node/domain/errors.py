"""The three families of expected errors; anything else is a defect of ours.

NodeError
├── Rejected        the input is not for us: final, told in a clinician's words
├── Transient       may succeed later: retried with back-off, then parked
└── Misconfigured   the site's configuration is wrong: stops the start, names file, line and key
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Self


class NodeError(Exception):
    """An error the node expects and knows how to answer."""


class RejectionReason(StrEnum):
    """Why a series was refused; stable codes for statistics, the message is for people."""

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


class Rejected(NodeError):
    """The input cannot be processed, now or later; `str(error)` is the reason in plain words."""

    def __init__(self, reason: RejectionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transient(NodeError):
    """A condition outside the node that may pass: a PACS that is down, a full disk."""


class Misconfigured(NodeError):
    """The configuration is wrong; the message starts with `file:line: key`, as far as known."""

    def __init__(
        self, message: str, *, file: Path | None = None, line: int | None = None, key: str = ""
    ) -> None:
        place = str(file) if file is not None else "configuration"
        if line is not None:
            place = f"{place}:{line}"
        super().__init__(f"{place}: {key}: {message}" if key else f"{place}: {message}")
        self.file = file
        self.line = line
        self.key = key

    @classmethod
    def combined(cls, mistakes: Sequence[Self]) -> Self:
        """One error that tells all of `mistakes` (at least one), each on a line of its own."""
        first = mistakes[0]
        error = cls("", file=first.file, line=first.line, key=first.key)
        error.args = ("\n".join(str(mistake) for mistake in mistakes),)
        return error
