"""Division of a series into the acquisitions, phases or reconstructions that it holds.

A series divides by an attribute if the slices with each of its values pass every check of a series
of their own. Where each part becomes a result of its own, a part may also fail these checks: it is
refused for itself. Nothing else is divided: in doubt, the series is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.dicom.ct.frames import PHASE_KEYWORDS, RECONSTRUCTION_KEYWORDS, Slice, slices_of
from node.dicom.ct.geometry import Stack, stack_slices
from node.dicom.ct.headers import PARSE_ERRORS
from node.dicom.ct.suitability import check_slices
from node.domain.errors import Rejected, RejectionReason
from node.domain.series import (
    PART_ATTRIBUTES,
    AcquisitionChoice,
    SeriesPart,
    part_attribute,
    series_digest,
)

# More parts than any dynamic examination has would be single slices or rotations.
_MAX_PARTS = 64
# Reasons for which a series is divided. Different image sizes or orientations count only where each
# part becomes a result of its own.
DIVISIBLE = frozenset({RejectionReason.SEVERAL_ACQUISITIONS, RejectionReason.MIXED_GEOMETRY})
# What can be wrong with one part while the others are complete.
_OWN_DEFECTS = frozenset(
    {
        RejectionReason.MISSING_SLICES,
        RejectionReason.DUPLICATE_POSITIONS,
        RejectionReason.UNEVEN_SPACING,
        RejectionReason.GANTRY_TILT,
        RejectionReason.MIXED_GEOMETRY,
    }
)
# Attributes with these names differ between the slices of one part as well, or are not specific
# enough to tell a damaged part from the wrong attribute.
_NOT_FOR_DAMAGED_PARTS = frozenset({"ImageType", "AcquisitionTime", "TriggerTime"})


@dataclass(frozen=True)
class Division:
    """The slices of a series by the values of the attribute `keyword`, by image number."""

    keyword: str
    groups: tuple[tuple[str, tuple[Slice, ...]], ...]

    def __str__(self) -> str:
        listed = ", ".join(
            f"{value or 'not stated'} ({len(slices)} slices)" for value, slices in self.groups
        )
        return f"{len(self.groups)} parts by {part_attribute(self.keyword)}: {listed}"

    def chosen(self, choice: AcquisitionChoice) -> tuple[str, tuple[Slice, ...]]:
        """Returns the value and slices of the part that FIRST, LAST or MOST_SLICES selects."""
        match choice:
            case AcquisitionChoice.LAST:
                return self.groups[-1]
            case AcquisitionChoice.MOST_SLICES:
                return max(self.groups, key=lambda group: len(group[1]))
            case _:
                return self.groups[0]

    @property
    def parts(self) -> tuple[SeriesPart, ...]:
        """Every part, by image number."""
        return tuple(
            SeriesPart(
                keyword=self.keyword,
                value=value,
                number=number,
                count=len(self.groups),
                instance_count=len({str(s.header.SOPInstanceUID) for s in slices}),
                slice_count=len(slices),
                digest=series_digest(_identifier(slice_) for slice_ in slices),
            )
            for number, (value, slices) in enumerate(self.groups, start=1)
        )


def stack_acquisition(slices: Sequence[Slice], choice: AcquisitionChoice) -> tuple[Stack, str]:
    """Sorts the slices of the only acquisition, or of the chosen one if there are several.

    Returns the stack, and a sentence about the choice; it is empty if there was none.

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
        if choice is AcquisitionChoice.REFUSE:
            raise Rejected(error.reason, f"{error} It holds {division}.") from error
        if choice is AcquisitionChoice.EACH:
            raise Rejected(
                error.reason,
                f"The series holds several acquisitions or phases of the same region, {division}. "
                "It was not split when this job was made: start the series again (segnode jobs "
                "start), so that each part gets a job of its own.",
            ) from error
    value, chosen = division.chosen(choice)
    attribute = part_attribute(division.keyword)
    return stack_slices(chosen), _sentence(division, f"{attribute} {value or 'not stated'}")


def stack_part(slices: Sequence[Slice], part: SeriesPart) -> tuple[Stack, str]:
    """Sorts the slices of that part; returns the stack, and a sentence about the part.

    Raises:
        Rejected: the slices of the part are not suitable, see `check_slices` and `stack_slices`;
            or there are none.
    """
    division = _group(slices, part.keyword)
    own = dict(division.groups).get(part.value)
    if own is None:
        raise Rejected(
            RejectionReason.SEVERAL_ACQUISITIONS,
            f"The series holds no images of {part.title}, for which this job was made. Start the "
            "series again (segnode jobs start).",
        )
    check_slices(own)
    return stack_slices(own), _sentence(division, part.title)


def headers_of_part(headers: Sequence[Dataset], part: SeriesPart) -> list[Dataset]:
    """Returns the headers of the objects with slices of that part, as far as they can be read."""
    own = []
    for header in headers:
        try:
            values = {_VALUES[part.keyword](slice_) for slice_ in slices_of(header)}
        except (Rejected, *PARSE_ERRORS):
            continue
        if part.value in values:
            own.append(header)
    return own


def divide(slices: Sequence[Slice]) -> Division | None:
    """Returns the division by the first attribute that divides the series; None if none does."""
    for division in _possible(slices):
        if all(_defect(group) is None for _value, group in division.groups):
            return division
    return None


def divide_for_each(slices: Sequence[Slice]) -> Division | None:
    """Returns the division into parts that are processed one by one; None if there is none.

    If no attribute divides the series into complete parts, some parts may be incomplete or damaged.
    """
    complete = divide(slices)
    if complete is not None:
        return complete
    for division in _possible(slices):
        if division.keyword in _NOT_FOR_DAMAGED_PARTS:
            continue
        defects = {_defect(group) for _value, group in division.groups}
        if None in defects and defects <= {None, *_OWN_DEFECTS}:
            return division
    return None


def _possible(slices: Sequence[Slice]) -> list[Division]:
    """Returns the slices by each attribute that has a possible number of values."""
    divisions = (_group(slices, keyword) for keyword in PART_ATTRIBUTES)
    return [division for division in divisions if 2 <= len(division.groups) <= _MAX_PARTS]


def _group(slices: Sequence[Slice], keyword: str) -> Division:
    groups: dict[str, list[Slice]] = {}
    for slice_ in slices:
        groups.setdefault(_VALUES[keyword](slice_), []).append(slice_)
    ordered = sorted(groups.items(), key=lambda group: (_first_number(group[1]), group[0]))
    return Division(keyword, tuple((value, tuple(group)) for value, group in ordered))


def _defect(slices: Sequence[Slice]) -> RejectionReason | None:
    """Returns why the slices are no series of their own; None if they are."""
    try:
        check_slices(slices)
        stack_slices(slices)
    except Rejected as error:
        return error.reason
    return None


def _sentence(division: Division, title: str) -> str:
    return (
        f"The series holds several acquisitions, phases or reconstructions, {division}; the result "
        f"is that of {title}."
    )


def _identifier(slice_: Slice) -> str:
    """Identifies a slice: the UID of its instance, with the frame number in a multi-frame CT."""
    uid = str(slice_.header.SOPInstanceUID)
    return uid if slice_.frame_number is None else f"{uid}#{slice_.frame_number}"


def _first_number(slices: Sequence[Slice]) -> float:
    """Returns the lowest image number; images without number are last."""
    numbers = [slice_.frame_number or slice_.header.get("InstanceNumber") for slice_ in slices]
    return min((float(n) for n in numbers if isinstance(n, int)), default=float("inf"))


def _by_phase(keyword: str) -> Callable[[Slice], str]:
    at = PHASE_KEYWORDS.index(keyword)
    return lambda slice_: slice_.phase[at]


def _by_reconstruction(keyword: str) -> Callable[[Slice], str]:
    at = RECONSTRUCTION_KEYWORDS.index(keyword)
    return lambda slice_: slice_.reconstruction[at]


# The value of each attribute of PART_ATTRIBUTES.
_VALUES: Mapping[str, Callable[[Slice], str]] = {
    **{keyword: _by_phase(keyword) for keyword in PHASE_KEYWORDS},
    **{keyword: _by_reconstruction(keyword) for keyword in RECONSTRUCTION_KEYWORDS},
    "ImageType": lambda slice_: "\\".join(slice_.image_type),
}
