"""The slices of a CT object with their geometry: single instances and frames of an Enhanced CT.

The rest of the reader handles only slices and so treats both object types the same.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
)

from node.domain.errors import Rejected, RejectionReason

MULTI_FRAME_CLASSES = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
CT_CLASSES = frozenset({CTImageStorage, *MULTI_FRAME_CLASSES})

# Attributes that distinguish the phases of a dynamic, gated or dual-energy examination.
PHASE_KEYWORDS = (
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TemporalPositionTimeOffset",
    "NominalPercentageOfCardiacPhase",
    "StackID",
    "KVP",
)
# Further attributes that may differ between two reconstructions of the same position.
RECONSTRUCTION_KEYWORDS = ("AcquisitionTime", "ConvolutionKernel", "TriggerTime")
# Their functional groups in a multi-frame object (PS3.3 C.7.6.16.2, C.8.15.3); those that are not
# listed are in Frame Content (C.7.6.16.2.2).
_FUNCTIONAL_GROUPS = {
    "TemporalPositionTimeOffset": "TemporalPositionSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "KVP": "CTXRayDetailsSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
}


@dataclass(frozen=True)
class Slice:
    """A CT slice: its position in the patient and the conversion of its stored values to HU.

    Positions in mm, LPS; `orientation` are the direction cosines of a row, then of a column
    (PS3.3 C.7.6.2.1.1); `pixel_spacing_mm` is between rows, then between columns.
    """

    header: Dataset = field(repr=False)
    frame_number: int | None  # from 1 in a multi-frame object, None in a single-frame instance
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing_mm: tuple[float, float]
    rescale_slope: float
    rescale_intercept: float
    rescale_type: str  # the unit of the rescaled values; empty if absent
    image_type: tuple[str, ...]
    phase: tuple[str, ...]  # the values of PHASE_KEYWORDS; empty texts if absent
    reconstruction: tuple[str, ...]  # the values of RECONSTRUCTION_KEYWORDS

    @property
    def name(self) -> str:
        """The name of the slice in a message: its number, never a patient's name."""
        if self.frame_number is not None:
            return f"frame {self.frame_number}"
        number = self.header.get("InstanceNumber")
        return f"image {number}" if number is not None else "an image without number"

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.header.Rows, self.header.Columns


# (functional group, keyword) -> value or None.
_Lookup = Callable[[str, str], object]


def slices_of(header: Dataset) -> Iterator[Slice]:
    """Yields the slices of one CT object, in the order of its frames.

    Raises:
        Rejected: an attribute of the slice's geometry is missing or is not a number.
    """
    try:
        yield from _slices(header)
    except (ValueError, TypeError, OverflowError) as error:
        # pydicom parses a value on first access and raises if it is invalid for its VR.
        raise Rejected(
            RejectionReason.UNREADABLE,
            f"An image holds a value that cannot be read ({error}). "
            "Send the original series from the scanner.",
        ) from error


def _slices(header: Dataset) -> Iterator[Slice]:
    if header.SOPClassUID not in MULTI_FRAME_CLASSES:
        yield _slice(header, None, lambda _group, keyword: header.get(keyword))
        return
    shared = _first_item(header, "SharedFunctionalGroupsSequence")
    frames = header.get("PerFrameFunctionalGroupsSequence") or []
    if not frames or len(frames) != int(header.get("NumberOfFrames", 0)):
        raise Rejected(
            RejectionReason.MISSING_GEOMETRY,
            f"The multi-frame CT says it has {header.get('NumberOfFrames', 0)} frames but places "
            f"{len(frames)} of them in the patient. Send the series as it left the scanner.",
        )
    for number, own in enumerate(frames, start=1):

        def lookup(group: str, keyword: str, own: Dataset = own) -> object:
            for groups in (own, shared):
                item = _first_item(groups, group)
                if keyword in item:
                    return item.get(keyword)
            return header.get(keyword)

        yield _slice(header, number, lookup)


def _first_item(dataset: Dataset, keyword: str) -> Dataset:
    """Returns the first item of a sequence; an empty data set if there is none."""
    sequence = dataset.get(keyword)
    return sequence[0] if sequence else Dataset()


def _slice(header: Dataset, frame_number: int | None, lookup: _Lookup) -> Slice:
    frame_type = lookup("CTImageFrameTypeSequence", "FrameType") if frame_number else None
    draft = Slice(
        header=header,
        frame_number=frame_number,
        position=(0.0, 0.0, 0.0),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        pixel_spacing_mm=(1.0, 1.0),
        rescale_slope=1.0,
        rescale_intercept=0.0,
        rescale_type=str(lookup("PixelValueTransformationSequence", "RescaleType") or ""),
        image_type=image_type_of(header) if frame_type is None else _texts(frame_type),
        phase=tuple(_text(lookup, keyword) for keyword in PHASE_KEYWORDS),
        reconstruction=tuple(_text(lookup, keyword) for keyword in RECONSTRUCTION_KEYWORDS),
    )
    if "LOCALIZER" in draft.image_type:
        return draft  # `check_slices` refuses it before its geometry is used
    if not all(isinstance(header.get(k), int) and header.get(k) for k in ("Rows", "Columns")):
        raise _missing(draft, "Rows and Columns")
    position = _numbers(lookup("PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(lookup("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    spacing = _numbers(lookup("PixelMeasuresSequence", "PixelSpacing"), 2)
    slope = _numbers(lookup("PixelValueTransformationSequence", "RescaleSlope"), 1)
    intercept = _numbers(lookup("PixelValueTransformationSequence", "RescaleIntercept"), 1)
    if position is None:
        raise _missing(draft, "ImagePositionPatient")
    if orientation is None:
        raise _missing(draft, "ImageOrientationPatient")
    if spacing is None or min(spacing) <= 0:
        raise _missing(draft, "PixelSpacing")
    if slope is None or intercept is None or slope[0] == 0:
        raise Rejected(
            RejectionReason.MISSING_GEOMETRY,
            f"{draft.name.capitalize()} does not say how its pixel values become Hounsfield units "
            "(RescaleSlope and RescaleIntercept). Send the original series from the scanner.",
        )
    return Slice(
        header=header,
        frame_number=frame_number,
        position=(position[0], position[1], position[2]),
        orientation=(*orientation[:3], *orientation[3:]),  # type: ignore[arg-type] # six of them
        pixel_spacing_mm=(spacing[0], spacing[1]),
        rescale_slope=slope[0],
        rescale_intercept=intercept[0],
        rescale_type=draft.rescale_type,
        image_type=draft.image_type,
        phase=draft.phase,
        reconstruction=draft.reconstruction,
    )


def _text(lookup: _Lookup, keyword: str) -> str:
    """Returns the values of an attribute as one text; empty if it is absent."""
    value: Any = lookup(_FUNCTIONAL_GROUPS.get(keyword, "FrameContentSequence"), keyword)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)


def image_type_of(header: Dataset) -> tuple[str, ...]:
    """Returns the values of Image Type (PS3.3 C.7.6.1.1.2) of an object; empty if it is absent."""
    return _texts(header.get("ImageType"))


def _texts(value: object) -> tuple[str, ...]:
    many: Any = () if value is None else value  # one string, or pydicom's MultiValue of them
    return (many,) if isinstance(many, str) else tuple(str(part) for part in many)


def _numbers(value: object, count: int) -> tuple[float, ...] | None:
    """Returns `count` finite numbers; None if the attribute is absent, empty or another type."""
    if value is None or value == "":
        return None
    many: Any = value  # one number, or pydicom's MultiValue of them
    parts = [many] if count == 1 else list(many)
    if len(parts) != count or any(part is None or part == "" for part in parts):
        return None
    numbers = tuple(float(part) for part in parts)
    return numbers if all(math.isfinite(number) for number in numbers) else None


def _missing(slice_: Slice, keyword: str) -> Rejected:
    return Rejected(
        RejectionReason.MISSING_GEOMETRY,
        f"{slice_.name.capitalize()} does not say where it lies in the patient: {keyword} is "
        "missing or invalid. Send the original series from the scanner.",
    )
