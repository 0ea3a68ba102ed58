"""A notice that the node refused a series, as one page in a Secondary Capture (PS3.3 A.8.1).

It lets a radiologist tell "refused" from "not routed" and "in progress". It needs no volume: it is
made from headers of which parts may be damaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydicom.dataset import Dataset

from node.dicom.ct.headers import PARSE_ERRORS, check_nesting
from node.dicom.results.captures.secondary_capture import (
    CAPTURE_TRANSFER_SYNTAX,
    CaptureIdentity,
    ConversionType,
    finish_capture,
    secondary_capture,
)
from node.dicom.results.captures.source_references import instance_reference, referenced_series
from node.dicom.results.pages.header_texts import header_text, series_texts
from node.dicom.results.pages.page import Page, Section
from node.dicom.results.pages.page_picture import page_picture
from node.dicom.results.result_attributes import complete_from_header, local_time
from node.dicom.results.series_texts import part_offset
from node.domain.identifiers import Uid
from node.domain.series import SeriesPart
from node.domain.texts.result_texts import MAX_LONG_STRING

SERIES_NUMBER = 990
_FOOTER = "This notice is about the automatic segmentation only. It is not a medical finding."
_REFERENCE_KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True)
class Refusal:
    """A refused series and why.

    `headers` are those of its instances that can be read, without pixel data; none may be left.
    `reason` is one or two sentences with the remedy. `model` is the model with its version.
    `made_at` is time zone aware. With a `part`, only that part of the series is refused, and
    headers and count are those of the part.
    """

    study_instance_uid: Uid
    headers: Sequence[Dataset] = field(repr=False)
    instance_count: int
    rule: str
    model: str
    reason: str
    made_at: datetime
    part: SeriesPart | None = None


def encode(
    refusal: Refusal,
    *,
    series_instance_uid: Uid,
    sop_instance_uid: Uid,
    series_number: int = SERIES_NUMBER,
) -> Dataset:
    """Returns the notice in the study of the refused series, with file meta information.

    The UIDs are those of the notice. Equal input gives equal bytes.

    Raises:
        ValueError: `made_at` has no time zone.
    """
    if refusal.made_at.tzinfo is None:
        raise ValueError("made_at has no time zone")
    readable = [_readable(header) for header in refusal.headers]
    identity = CaptureIdentity(
        study_instance_uid=refusal.study_instance_uid,
        series_instance_uid=series_instance_uid,
        sop_instance_uid=sop_instance_uid,
        series_number=series_number + part_offset(refusal.part),
        series_description=_description(refusal),
        instance_number=1,
    )
    picture = page_picture(notice_page(refusal))
    image = secondary_capture(picture, identity, ConversionType.SYNTHETIC)
    image.RecognizableVisualFeatures = "NO"  # PS3.3 C.7.6.1: the page has no image of the patient
    referable = [h for h in readable if all(header_text(h, k) for k in _REFERENCE_KEYWORDS)]
    if referable:
        # Related, but not derived from: PS3.3 C.12.4.
        image.ReferencedImageSequence = [instance_reference(h) for h in referable]
        image.ReferencedSeriesSequence = referenced_series(referable)  # PS3.3 C.12.2
    header = _context(readable)
    result = complete_from_header(
        image,
        header,
        refusal.model,
        refusal.made_at,
        (identity.series_description,),
        transfer_syntax_uid=CAPTURE_TRANSFER_SYNTAX,
    )
    return finish_capture(result, header)


def _description(refusal: Refusal) -> str:
    part = "" if refusal.part is None else f", {refusal.part.title}"
    return f"Not segmented{part}, {refusal.model}"[:MAX_LONG_STRING]


def notice_page(refusal: Refusal) -> Page:
    """Returns the page, without patient data."""
    headers = [_readable(header) for header in refusal.headers]
    count = refusal.instance_count
    images = "1 image" if count == 1 else f"{count} images"
    local = local_time(_context(headers), refusal.made_at)
    part = refusal.part
    refused = "this series" if part is None else "a part of this series"
    of_part = () if part is None else (f"Only {part.title} of {part.count} parts",)
    return Page(
        title="Not segmented",
        subtitle=f"The automatic segmentation refused {refused}. It makes no result of it.",
        sections=(
            Section("Reason", (refusal.reason,)),
            Section("Series", (*series_texts(headers, images), *of_part)),
            Section("Model", (refusal.model, f"Selected by the rule {refusal.rule}")),
            Section("Refused", (f"{local:%Y-%m-%d %H:%M %Z}",)),
        ),
        footer=_FOOTER,
    )


def _context(headers: Sequence[Dataset]) -> Dataset:
    """Returns the header that names the patient; else the first, or an empty one."""
    identified = (header for header in headers if header_text(header, "PatientID"))
    return next(identified, headers[0] if headers else Dataset())


def _readable(header: Dataset) -> Dataset:
    """Returns a data set of the elements whose values can be parsed."""
    try:
        check_nesting(header)
        sequences = True
    except RecursionError:
        sequences = False
    readable = Dataset()
    for tag in list(header.keys()):
        try:
            element = header[tag]
            if element.VR == "SQ" and not sequences:
                continue
            readable.add(element)
        except PARSE_ERRORS:
            continue
    return readable
