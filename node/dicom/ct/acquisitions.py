"""Division of a series into the acquisitions, phases or reconstructions that it holds.

A series divides by an attribute if the slices with each of its values pass every check of a series
of their own. Nothing else is divided: in doubt, the series is refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from node.dicom.ct.frames import PHASE_KEYWORDS, RECONSTRUCTION_KEYWORDS, Slice
from node.dicom.ct.geometry import Stack, stack_slices
from node.domain.errors import Rejected, RejectionReason
from node.domain.series import AcquisitionChoice

# More parts than any dynamic examination has would be single slices or rotations.
_MAX_PARTS = 64


@dataclass(frozen=True)
class Division:
    """A series that divides by `attribute`; `parts` are value and stack, by image number."""

    attribute: str
    parts: tuple[tuple[str, Stack], ...]

    def __str__(self) -> str:
        listed = ", ".join(f"{value} ({len(stack.slices)} slices)" for value, stack in self.parts)
        return f"{len(self.parts)} parts by {self.attribute}: {listed}"

    def chosen(self, choice: AcquisitionChoice) -> tuple[str, Stack]:
        """Returns the value and stack of the part that `choice`, not REFUSE, selects."""
        match choice:
            case AcquisitionChoice.LAST:
                return self.parts[-1]
            case AcquisitionChoice.MOST_SLICES:
                return max(self.parts, key=lambda part: len(part[1].slices))
            case _:
                return self.parts[0]


def stack_acquisition(slices: Sequence[Slice], choice: AcquisitionChoice) -> tuple[Stack, str]:
    """Sorts the slices of the only acquisition, or of the chosen one if there are several.

    Returns the stack, and a sentence about the choice; it is empty if there was none. Only single
    images are chosen from: a result of a multi-frame object refers to all of its frames.

    Raises:
        Rejected: the slices form no stack, see `stack_slices`; or there are several acquisitions,
            and no choice is made or possible.
    """
    try:
        return stack_slices(slices), ""
    except Rejected as error:
        if error.reason is not RejectionReason.SEVERAL_ACQUISITIONS:
            raise
        division = divide(slices)
        if division is None:
            raise
        if choice is AcquisitionChoice.REFUSE or slices[0].frame_number is not None:
            raise Rejected(error.reason, f"{error} It holds {division}.") from error
    value, stack = division.chosen(choice)
    return stack, (
        f"The series holds several acquisitions or phases of the same region, {division}; the "
        f"result is that of {division.attribute} {value}."
    )


def divide(slices: Sequence[Slice]) -> Division | None:
    """Returns the division by the first attribute that divides the series; None if none does."""
    for attribute, value_of in _ATTRIBUTES:
        groups: dict[str, list[Slice]] = {}
        for slice_ in slices:
            groups.setdefault(value_of(slice_), []).append(slice_)
        if not 2 <= len(groups) <= _MAX_PARTS:
            continue
        try:
            stacks = [(value, stack_slices(group)) for value, group in groups.items()]
        except Rejected:  # one part is no series of its own: try the next attribute
            continue
        return Division(attribute, tuple(sorted(stacks, key=lambda part: _first_number(part[1]))))
    return None


def _first_number(stack: Stack) -> float:
    """Returns the lowest image number; images without number are last."""
    numbers = [
        slice_.frame_number or slice_.header.get("InstanceNumber") for slice_ in stack.slices
    ]
    return min((float(n) for n in numbers if isinstance(n, int)), default=float("inf"))


def _by_phase(keyword: str) -> Callable[[Slice], str]:
    at = PHASE_KEYWORDS.index(keyword)
    return lambda slice_: slice_.phase[at]


def _by_reconstruction(keyword: str) -> Callable[[Slice], str]:
    at = RECONSTRUCTION_KEYWORDS.index(keyword)
    return lambda slice_: slice_.reconstruction[at]


# Name in messages, and value; what the scanner calls a phase comes first.
_ATTRIBUTES: tuple[tuple[str, Callable[[Slice], str]], ...] = (
    ("temporal position", _by_phase("TemporalPositionIdentifier")),
    ("temporal position", _by_phase("TemporalPositionIndex")),
    ("cardiac phase", _by_phase("NominalPercentageOfCardiacPhase")),
    ("acquisition", _by_phase("AcquisitionNumber")),
    ("acquisition", _by_phase("FrameAcquisitionNumber")),
    ("KVP", _by_phase("KVP")),
    ("convolution kernel", _by_reconstruction("ConvolutionKernel")),
    ("image type", lambda slice_: "\\".join(slice_.image_type)),
    ("acquisition time", _by_reconstruction("AcquisitionTime")),
    ("trigger time", _by_reconstruction("TriggerTime")),
)
