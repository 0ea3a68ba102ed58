"""Position, orientation and pixel measures of each source slice, exactly as the source states them.

A result on the source slices copies them (PS3.3 C.7.6.2 and C.7.4.1), so that a viewer shows both
at the same position.
"""

import math
from collections.abc import Iterator
from decimal import Decimal

from pydicom.dataset import Dataset

from node.dicom.ct.reader import CtSeries


def plane_attributes(source: CtSeries) -> Iterator[Dataset]:
    """Yields the attributes of the Image Plane and Frame of Reference modules of each slice.

    The slices are in the order of the volume. Slice Thickness is type 2: empty if the source has
    none that is a positive number.
    """
    for k in range(source.slice_count):
        groups = list(_groups(source, k))
        plane = Dataset()
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            found = next(group for group in groups if group.get(keyword) is not None)
            plane[keyword] = found[keyword]
        thicknesses = (group.get("SliceThickness") for group in groups)
        plane.SliceThickness = next((t for t in thicknesses if _is_length(t)), None)
        plane.FrameOfReferenceUID = groups[-1].FrameOfReferenceUID
        yield plane


def _is_length(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and math.isfinite(value) and value > 0


def _groups(source: CtSeries, k: int) -> Iterator[Dataset]:
    """Yields where attributes of slice `k` may be, the most specific first; the header is last.

    In a multi-frame CT they are in functional groups of the frame or of all frames
    (PS3.3 C.7.6.16.2).
    """
    if not source.frame_numbers:
        yield source.sources[k]
        return
    header = source.sources[0]
    per_frame = header.PerFrameFunctionalGroupsSequence[source.frame_numbers[k] - 1]
    for functional_groups in (per_frame, *(header.get("SharedFunctionalGroupsSequence") or ())):
        for keyword in (
            "PlanePositionSequence",
            "PlaneOrientationSequence",
            "PixelMeasuresSequence",
        ):
            yield from functional_groups.get(keyword) or ()
    yield header
