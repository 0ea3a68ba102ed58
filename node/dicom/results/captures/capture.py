"""Colour captures of the source slices with the organs drawn in (PS3.3 A.8.1).

There is one image per source slice, on its pixels and at its position, so that a viewer scrolls
both together. A strip below the slice has the volumes; it adds rows and so hides no part of the
body.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from models.slice_images import outline, tint
from node.dicom.ct.reader import CtSeries
from node.dicom.results.captures.secondary_capture import (
    CAPTURE_TRANSFER_SYNTAX,
    CaptureIdentity,
    ConversionType,
    finish_capture,
    secondary_capture,
)
from node.dicom.results.captures.source_planes import plane_attributes
from node.dicom.results.captures.source_references import (
    referenced_series,
    set_lossy_compression,
    source_image,
)
from node.dicom.results.content import ResultContent
from node.dicom.results.pages.captions import Caption, caption_strip
from node.dicom.results.pages.organ_texts import CHECK_FINDINGS, volume_text
from node.dicom.results.references import check_source_uids
from node.dicom.results.result_attributes import complete_result
from node.dicom.results.series_texts import series_description, series_number
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices
from node.domain.result_objects import ResultObject

_FILL_OPACITY = 0.25
# The captions' em size: 14 pixels in an image 512 pixels wide, legible from 10 pixels on.
_CAPTION_PER_COLUMN = 14 / 512
_MIN_CAPTION_PX = 10


class CaptureStyle(StrEnum):
    """How an organ is drawn; the values are those of the setting."""

    CONTOUR = "contour"
    CONTOUR_AND_FILL = "contour-and-fill"


@dataclass(frozen=True)
class CaptureOptions:
    """The grey values and the drawing of captures, as a site configures them.

    The window is that of PS3.3 C.11.2.1.2, in HU; the default shows soft tissue.

    Raises:
        ValueError: the window has no width.
    """

    window_centre_hu: float = 40.0
    window_width_hu: float = 400.0
    style: CaptureStyle = CaptureStyle.CONTOUR_AND_FILL

    def __post_init__(self) -> None:
        if not self.window_width_hu > 1:
            raise ValueError("the window must be wider than 1 HU")


DEFAULT_OPTIONS = CaptureOptions()


def encode(
    content: ResultContent, result_object: ResultObject, options: CaptureOptions = DEFAULT_OPTIONS
) -> Iterator[Dataset]:
    """Yields the captures in the order of the volume's slices, with file meta information.

    Only one image is in memory at a time. They are compressed without loss (JPEG 2000);
    `transcoding.uncompressed` returns the form for a peer that does not accept it.

    If the volume is resampled, its HU are interpolated linearly back to the source slices, because
    the source's pixels are no longer in memory; the organs are drawn as the SEG has them.

    Raises:
        Rejected: the source lacks a UID that the captures must reference.
    """
    source = content.source
    check_source_uids(source)
    columns = source.grid.image_size[1]
    size_px = max(_MIN_CAPTION_PX, round(_CAPTION_PER_COLUMN * columns))
    strip = np.asarray(caption_strip(_captions(content), columns, size_px))
    numbers = _instance_numbers(source)
    planes = plane_attributes(source)
    slices = zip(planes, _source_slices(content), strict=True)
    for k, (plane, (hu, labels)) in enumerate(slices):
        drawn = _draw(hu, labels, content, options)
        picture = np.concatenate([drawn, strip])
        uids = content.uids(result_object)
        identity = CaptureIdentity(
            study_instance_uid=str(source.sources[0].StudyInstanceUID),
            series_instance_uid=uids.series_instance_uid,
            sop_instance_uid=uids.sop_instance_uid(k + 1),
            series_number=series_number(content, result_object),
            series_description=series_description(content, result_object),
            instance_number=numbers[k],
        )
        image = secondary_capture(picture, identity, ConversionType.WORKSTATION)
        image.update(plane)
        yield _complete(image, content, k)


def _complete(image: Dataset, content: ResultContent, k: int) -> Dataset:
    """Adds what ties the capture to its source slice, then what every result has."""
    source = content.source
    header = source.sources[0] if source.frame_numbers else source.sources[k]
    frame_numbers = source.frame_numbers[k : k + 1]  # empty if it is an image of its own
    # PS3.3 C.7.6.1.1.1: toward which side columns, then rows, ascend.
    toward = source.volume.get_closest_patient_orientation()
    image.PatientOrientation = [toward[2].value, toward[1].value]
    image.SourceImageSequence = [  # PS3.3 C.12.4.1.1
        source_image(header, frame_numbers=frame_numbers, same_location=True)
    ]
    image.ReferencedSeriesSequence = referenced_series([header])  # PS3.3 C.12.2
    spec = content.spec
    derivation = (
        f"Organs drawn in by {spec.model_id} {spec.version}; window and text burned in; "
        "not for diagnostic use."
    )
    image.DerivationDescription = derivation  # PS3.3 C.12.4
    set_lossy_compression(image, [header])
    # Slices of a head could be stacked to a face: the source's statement holds for them as well.
    if header.get("RecognizableVisualFeatures") in ("YES", "NO"):
        image.RecognizableVisualFeatures = header.RecognizableVisualFeatures
    texts = (derivation, image.SeriesDescription)
    result = complete_result(
        image,
        source,
        spec,
        content.made_at,
        texts,
        transfer_syntax_uid=CAPTURE_TRANSFER_SYNTAX,
    )
    return finish_capture(result, header)


def _source_slices(
    content: ResultContent,
) -> Iterator[tuple[NDArray[np.generic], NDArray[np.uint8]]]:
    """Yields HU and labels of each source slice, both (row, column)."""
    source = content.source
    hu = source.grid.on_source_slices(source.volume.array)
    yield from zip(hu, labels_on_source_slices(content.mask, source), strict=True)


def _draw(
    hu: NDArray[np.generic],
    labels: NDArray[np.uint8],
    content: ResultContent,
    options: CaptureOptions,
) -> NDArray[np.uint8]:
    """Returns the slice in the window with the organs drawn in, (row, column, RGB)."""
    grey = _windowed(hu, options)
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2)
    for label in content.mask.labels:
        inside = labels == label.index
        if not inside.any():
            continue
        if options.style is CaptureStyle.CONTOUR_AND_FILL:
            tint(picture, inside, label.display_rgb, _FILL_OPACITY)
        outline(picture, inside, label.display_rgb)
    return picture


def _windowed(hu: NDArray[np.generic], options: CaptureOptions) -> NDArray[np.uint8]:
    """Returns grey values by the linear VOI function (PS3.3 C.11.2.1.2.1)."""
    centre, width = options.window_centre_hu - 0.5, options.window_width_hu - 1
    scaled = (hu.astype(np.float32) - centre) / width + 0.5
    grey: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return grey


def _captions(content: ResultContent) -> list[Caption]:
    """Returns the warning, the part of the series, then each organ and its volume in its colour."""
    organs = [
        Caption(f"{label.name} {volume_text(content.measurements[label.name])}", label.display_rgb)
        for label in content.mask.labels
    ]
    model = f"{content.spec.model_id} {content.spec.version}"
    mark = [Caption(CHECK_FINDINGS)] if content.is_marked else []
    part = [] if content.source.part is None else [Caption(content.source.part.title)]
    return [Caption(f"Not for diagnostic use ({model})"), *part, *mark, *organs]


def _instance_numbers(source: CtSeries) -> list[int]:
    """Returns the instance number of each slice: that of the source, so that both sort alike.

    If the source's numbers are missing or repeat, the slices are counted.
    """
    counted = list(range(1, source.slice_count + 1))
    if source.frame_numbers:
        return list(source.frame_numbers)
    numbers = [image.get("InstanceNumber") for image in source.sources]
    valid = [int(number) for number in numbers if isinstance(number, int)]
    return valid if len(set(valid)) == len(counted) else counted
