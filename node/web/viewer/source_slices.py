"""The slices of a series in the order in which the viewer shows them, with their positions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.dicom.ct.acquisitions import DIVISIBLE, divide
from node.dicom.ct.frames import CT_CLASSES, Slice, slices_of
from node.dicom.ct.geometry import stack_slices
from node.dicom.ct.headers import PARSE_ERRORS
from node.domain.errors import Rejected

Vector = NDArray[np.float64]
# What an axis of the patient points to (PS3.3 C.7.6.2.1.1), and its opposite.
_DIRECTIONS = (("L", "R"), ("P", "A"), ("H", "F"))
_AXIS_NAMES = ("left", "back", "head")
_HEAD = 2
# Orientations whose cosines are equal after this rounding are the same.
_COSINE_DECIMALS = 3
# A series has one or a few; each computation takes as long as the rest of a slice.
_CACHED_NORMALS = 128


@dataclass(frozen=True)
class SliceGeometry:
    """The plane of a slice: position of its first pixel and direction cosines; LPS, mm."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    rows: int
    columns: int


@dataclass(frozen=True)
class ShownSlice:
    """A slice of the viewer.

    `frame` counts from 1. `position_mm` is measured along the normal. `edges` names where the left,
    right, upper and lower edge of the picture lie in the patient: L, R, A, P, H or F.
    """

    sop_instance_uid: str
    frame: int
    instance_number: int | None
    position_mm: float
    edges: str


@dataclass(frozen=True)
class Window:
    """A window in HU, or in the unit of the images."""

    center: float
    width: float


@dataclass(frozen=True)
class SourceSlices:
    """The slices that the viewer shows, with the geometry of each.

    Positions grow towards `axis`: left, back or head. `window` is that of the middle slice, None if
    it has none. `left_out` counts the images that have no position, such as localizers.
    """

    slices: tuple[ShownSlice, ...]
    geometries: tuple[SliceGeometry, ...]
    axis: str
    row_spacing_mm: float
    column_spacing_mm: float
    window: Window | None
    left_out: int


def source_slices(headers: Iterable[Dataset]) -> SourceSlices:
    """Returns the slices of these CT objects: from head to feet, from right to left, or from front
    to back.

    Slices of several orientations follow each other, those of the most frequent one first. So do
    the acquisitions or phases of a series that holds several.
    """
    found, left_out = _readable(headers)
    ordered = _ordered(found)
    middle = ordered[len(ordered) // 2] if ordered else None
    axis = _HEAD if middle is None else _axis_and_sign(middle)[0]
    spacing = (1.0, 1.0) if middle is None else middle.pixel_spacing_mm
    return SourceSlices(
        slices=tuple(map(_shown, ordered)),
        geometries=tuple(map(_geometry, ordered)),
        axis=_AXIS_NAMES[axis],
        row_spacing_mm=spacing[0],
        column_spacing_mm=spacing[1],
        window=None if middle is None else _window(middle),
        left_out=left_out,
    )


def _readable(headers: Iterable[Dataset]) -> tuple[list[Slice], int]:
    found: list[Slice] = []
    left_out = 0
    for header in headers:
        try:
            if header.SOPClassUID not in CT_CLASSES:
                raise TypeError("no CT")
            own = list(slices_of(header))
        except (Rejected, *PARSE_ERRORS):
            left_out += 1
            continue
        placed = [each for each in own if "LOCALIZER" not in each.image_type]
        left_out += len(own) - len(placed)
        found += placed
    return found, left_out


def _ordered(found: Sequence[Slice]) -> list[Slice]:
    by_orientation = defaultdict[tuple[float, ...], list[Slice]](list)
    for each in found:
        by_orientation[_orientation_key(each)].append(each)
    ordered = []
    for same in sorted(by_orientation.values(), key=len, reverse=True):
        for group in _acquisitions(same):
            ordered += sorted(group, key=_order)
    return ordered


def _acquisitions(found: Sequence[Slice]) -> Iterator[Sequence[Slice]]:
    """Yields the slices of each acquisition or phase; all of them if there is only one."""
    try:
        stack_slices(found)
    except Rejected as error:
        division = divide(found) if error.reason in DIVISIBLE else None
        if division is not None:
            yield from (slices for _value, slices in division.groups)
            return
    yield found


def _orientation_key(of: Slice) -> tuple[float, ...]:
    return tuple(round(cosine, _COSINE_DECIMALS) + 0.0 for cosine in of.orientation)


def _order(of: Slice) -> tuple[float, int, int]:
    axis, _sign = _axis_and_sign(of)
    position = _position_mm(of)
    return -position if axis == _HEAD else position, _instance_number(of) or 0, of.frame_number or 0


@lru_cache(maxsize=_CACHED_NORMALS)
def _normal(orientation: tuple[float, ...]) -> Vector:
    return np.cross(orientation[:3], orientation[3:])


def _axis_and_sign(of: Slice) -> tuple[int, float]:
    """Returns the axis of the patient that is nearest to the normal, and its sign on it."""
    normal = _normal(of.orientation)
    axis = int(np.argmax(np.abs(normal)))
    return axis, float(np.sign(normal[axis])) or 1.0


def _position_mm(of: Slice) -> float:
    _axis, sign = _axis_and_sign(of)
    return float(sign * _normal(of.orientation) @ np.array(of.position))


def _shown(of: Slice) -> ShownSlice:
    right, left = _ends(of.orientation[:3])
    bottom, top = _ends(of.orientation[3:])
    return ShownSlice(
        sop_instance_uid=str(of.header.SOPInstanceUID),
        frame=of.frame_number or 1,
        instance_number=_instance_number(of),
        position_mm=round(_position_mm(of), 3) + 0.0,
        edges=f"{left}{right}{top}{bottom}",
    )


def _ends(direction: Sequence[float]) -> tuple[str, str]:
    """Returns what a direction in the picture points to in the patient, and what it comes from."""
    axis = int(np.argmax(np.abs(direction)))
    towards, away = _DIRECTIONS[axis]
    return (towards, away) if direction[axis] > 0 else (away, towards)


def _geometry(of: Slice) -> SliceGeometry:
    return SliceGeometry(of.position, of.orientation, *of.size)


def _instance_number(of: Slice) -> int | None:
    number = of.header.get("InstanceNumber")
    return int(number) if isinstance(number, int) else None


def _window(of: Slice) -> Window | None:
    """Returns the first window of the slice (PS3.3 C.11.2.1.2, C.7.6.16.2.10)."""
    groups = [of.header]
    if of.frame_number is not None:
        shared = of.header.get("SharedFunctionalGroupsSequence") or []
        own = of.header.PerFrameFunctionalGroupsSequence[of.frame_number - 1]
        tables = [group.get("FrameVOILUTSequence") or [] for group in (own, *shared)]
        groups = [item for table in tables for item in table] + groups
    for group in groups:
        center, width = _first(group.get("WindowCenter")), _first(group.get("WindowWidth"))
        if center is not None and width is not None and width >= 1:
            return Window(center, width)
    return None


def _first(value: object) -> float | None:
    first = value[0] if isinstance(value, MultiValue) and value else value
    return float(first) if isinstance(first, (int, float)) else None
