"""Checks that objects and slices form one CT series of one acquisition.

Refusals are worded for radiographers.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from pydicom.dataset import Dataset

from node.dicom.ct.frames import CT_CLASSES, MULTI_FRAME_CLASSES, Slice
from node.domain.errors import Rejected, RejectionReason
from node.domain.texts.numbers import exact

# Direction cosines may differ by rounding. 0.001 moves the far corner of a 350 mm wide slice by
# 0.35 mm, half a pixel.
ORIENTATION_TOLERANCE = 1e-3
# Pixel spacings may differ by rounding. 0.1 % of 512 pixels is half a pixel.
PIXEL_SPACING_TOLERANCE = 1e-3
_MIXED_UP_ADVICE = "The series is mixed up; have it corrected in the PACS and send it again."
# Rescale types of Hounsfield units (PS3.3 C.11.1.1.2): unspecified, plain or modified.
_HOUNSFIELD_RESCALE_TYPES = ("", "HU", "HU_MOD")
# Image types of images that are computed from many slices (PS3.3 C.8.15.2, C.7.6.1.1.2).
_PROJECTIONS = frozenset({"MAX_IP", "MIN_IP", "MIP", "MINIP", "MAXIP", "VOLUME_RENDER", "VRT"})


def check_one_series(headers: Sequence[Dataset]) -> None:
    """Refuses objects of several series, studies or patients.

    Raises:
        Rejected: the message names no patient.
    """
    _check_equal(headers, "SeriesInstanceUID", "different series", "Give one series at a time.")
    _check_equal(headers, "StudyInstanceUID", "different studies", _MIXED_UP_ADVICE)
    _check_equal(headers, "PatientID", "different patients", _MIXED_UP_ADVICE, empty_counts=False)


def check_objects(headers: Sequence[Dataset]) -> None:
    """Refuses objects of one series that are not CT in one space; does not use their geometry.

    Raises:
        Rejected: not CT, several multi-frame objects, or no frame of reference.
    """
    for header in headers:
        modality = str(header.get("Modality", "")) or "no modality"
        if header.SOPClassUID not in CT_CLASSES or modality != "CT":
            object_type = getattr(header.SOPClassUID, "name", "") or "an unknown kind of object"
            raise Rejected(
                RejectionReason.NOT_CT,
                f"The series is not CT: it holds {object_type} of modality {modality}. "
                "Send an original CT series.",
            )
        if header.get("SamplesPerPixel") not in (1, None, ""):
            raise Rejected(
                RejectionReason.NOT_CT,
                "The series holds colour pictures, not CT slices (a screen shot, or a rendering). "
                "Send the original slices.",
            )
    _check_equal(
        headers,
        "FrameOfReferenceUID",
        "different frames of reference, so the images do not lie in one space",
        "Send the original series of one examination.",
    )
    if not headers[0].get("FrameOfReferenceUID"):
        raise Rejected(
            RejectionReason.MISSING_GEOMETRY,
            "The images name no frame of reference (FrameOfReferenceUID is missing), so a result "
            "could not be laid over them. Send the original series from the scanner.",
        )
    multi_frame = sum(header.SOPClassUID in MULTI_FRAME_CLASSES for header in headers)
    if multi_frame and len(headers) > 1:
        raise Rejected(
            RejectionReason.SEVERAL_ACQUISITIONS,
            f"The series holds {len(headers)} objects, {multi_frame} of them multi-frame; a "
            "multi-frame CT is read when it is the only object of its series. Send one at a time.",
        )


def _check_equal(
    headers: Sequence[Dataset], keyword: str, what: str, advice: str, *, empty_counts: bool = True
) -> None:
    """Refuses headers with more than one value; `empty_counts`: an empty value is a value."""
    values = Counter(str(header.get(keyword) or "") for header in headers)
    if not empty_counts:
        values.pop("", None)
    if len(values) > 1:
        raise Rejected(
            RejectionReason.MIXED_GEOMETRY,
            f"The {len(headers)} images belong to {len(values)} {what}. {advice}",
        )


def check_slices(slices: Sequence[Slice]) -> None:
    """Refuses localizers, values that are not HU, and slices of different geometry.

    Size, orientation and pixel spacing must be equal.

    Raises:
        Rejected: the message names the slices.
    """
    localizers = [s for s in slices if "LOCALIZER" in s.image_type]
    if localizers:
        all_localizers = len(localizers) == len(slices)
        raise Rejected(
            RejectionReason.LOCALIZER,
            "The series is a localizer (scout view), not slices. Send the CT slices."
            if all_localizers
            else f"{len(localizers)} of the {len(slices)} images are localizers (scout views). "
            "Send the slices without them.",
        )
    _check_values(slices)
    sizes = Counter(s.size for s in slices)
    if len(sizes) > 1:
        counts = " and ".join(f"{n} of {r}×{c} pixels" for (r, c), n in sizes.most_common())
        raise _mixed(f"The series mixes images of different sizes: {counts}.")
    first = slices[0]
    for other in slices[1:]:
        if not np.allclose(first.orientation, other.orientation, atol=ORIENTATION_TOLERANCE):
            raise _mixed(
                f"The series mixes orientations: {first.name} and {other.name} are not parallel."
            )
        if not np.allclose(
            first.pixel_spacing_mm, other.pixel_spacing_mm, rtol=PIXEL_SPACING_TOLERANCE
        ):
            sizes_mm = [" × ".join(map(exact, s.pixel_spacing_mm)) for s in (first, other)]
            raise _mixed(
                f"The series mixes pixel sizes: {sizes_mm[0]} mm in {first.name}, "
                f"{sizes_mm[1]} mm in {other.name}."
            )


def _check_values(slices: Sequence[Slice]) -> None:
    """Refuses values that are not HU and images that are computed from many slices."""
    for slice_ in slices:
        if slice_.rescale_type.upper() not in _HOUNSFIELD_RESCALE_TYPES:
            raise Rejected(
                RejectionReason.NOT_CT,
                f"The values of {slice_.name} are {slice_.rescale_type}, not Hounsfield units. "
                "Send the original CT series.",
            )
        computed = _PROJECTIONS & {value.upper() for value in slice_.image_type}
        if computed:
            raise Rejected(
                RejectionReason.NOT_CT,
                f"{slice_.name.capitalize()} is a projection ({', '.join(sorted(computed))}), not "
                "a slice. Send the original CT series.",
            )


def _mixed(message: str) -> Rejected:
    return Rejected(
        RejectionReason.MIXED_GEOMETRY,
        f"{message} Send each reconstruction as a series of its own.",
    )


def check_acquisitions(
    slices: Sequence[Slice], distances_mm: Sequence[float], same_position_mm: float
) -> None:
    """Refuses several acquisitions or phases of the same region; `distances_mm` must ascend.

    A scanner may number each rotation of one scan as an acquisition, one after the other along
    the table: that is one volume. Acquisitions that cover the same region of the patient are not.
    Two slices closer than `same_position_mm` are at the same position.

    Raises:
        Rejected: SEVERAL_ACQUISITIONS, or DUPLICATE_POSITIONS if slices at the same position do
            not differ in phase or reconstruction.
    """
    duplicates = [
        (slices[i], slices[j])
        for i, j in pairwise(range(len(slices)))
        if distances_mm[j] - distances_mm[i] < same_position_mm
    ]
    if any(a.phase != b.phase or _reconstruction(a) != _reconstruction(b) for a, b in duplicates):
        raise _several(f"{len(duplicates)} positions carry more than one image")
    if duplicates:
        first, second = duplicates[0]
        raise Rejected(
            RejectionReason.DUPLICATE_POSITIONS,
            f"{len(duplicates)} positions carry more than one image, the first of them "
            f"{first.name} and {second.name}. Send the series with each slice once.",
        )
    # Along the table, each phase may start once. A phase that starts again overlaps another.
    phases = [(*s.phase, *_reconstruction(s)) for s in slices]
    starts = [phase for k, phase in enumerate(phases) if k == 0 or phases[k - 1] != phase]
    if len(set(starts)) < len(starts):
        raise _several("their slices lie between each other")


def _reconstruction(slice_: Slice) -> tuple[object, ...]:
    return (*slice_.reconstruction, slice_.image_type)


def _several(evidence: str) -> Rejected:
    return Rejected(
        RejectionReason.SEVERAL_ACQUISITIONS,
        f"The series holds several acquisitions or phases of the same region: {evidence}. "
        "Send each phase as a series of its own.",
    )
