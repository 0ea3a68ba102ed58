"""Encoding of a mask as a DICOM Segmentation (PS3.3 A.51) on the slices of its source.

Frames take their geometry from the source slices. A BINARY segmentation has one frame for each
slice and segment; the sparse one omits empty frames, which some older viewers need to keep masks in
position. A label map has one frame for each slice, whose pixels are segment numbers.
"""

from collections.abc import Callable

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from models.mask import Mask
from node.dicom.ct.reader import CtSeries
from node.dicom.equipment import this_node
from node.dicom.results.content import ResultContent
from node.dicom.results.frames.binary_frames import BinaryFrames, Labels
from node.dicom.results.frames.functional_groups import encode_functional_groups
from node.dicom.results.quality_findings import series_findings
from node.dicom.results.references import check_source_uids, reference_images
from node.dicom.results.result_attributes import complete_result
from node.dicom.results.segment_descriptions import segment_descriptions
from node.dicom.results.series_texts import content_label, series_description, series_number
from node.dicom.results.source_slices.label_interpolation import labels_on_source_slices
from node.domain.identifiers import Uid
from node.domain.result_objects import ResultObject, SegEncoding
from node.domain.texts.numbers import instances
from node.domain.texts.result_texts import MARKED, NOT_FOR_DIAGNOSTIC_USE

_TYPES = {
    SegEncoding.ALL_FRAMES: hd.seg.SegmentationTypeValues.BINARY,
    SegEncoding.SPARSE: hd.seg.SegmentationTypeValues.BINARY,
    SegEncoding.LABELMAP: hd.seg.SegmentationTypeValues.LABELMAP,
}


def encode(content: ResultContent, result_object: ResultObject) -> list[Dataset]:
    """Encodes the mask as one DICOM SEG with file meta information.

    The encoding is that of `result_object`. The frames are on the source slices. Equal input gives
    equal bytes. The time is written in the time zone of the source, or in the local one if the
    source has none. A mask without voxels has all frames in every encoding, because an image
    without frames does not exist.

    Raises:
        Rejected: the source lacks a UID that the result must reference.
        ValueError: the mask is on another grid than the source, or `made_at` has no time zone.
    """
    _check_input(content)
    images, labels = _labels_on_images(content.mask, content.source)
    complete: Callable[[Dataset], None]
    if result_object.encoding is SegEncoding.LABELMAP:
        numbers = _segment_numbers(labels, content.mask)
        segmentation = _segmentation(content, result_object, images, numbers)
        _describe_background_last(segmentation)
        complete = encode_functional_groups
    else:
        frames = _binary_frames(content, result_object, labels)
        tiny_images, tiny_pixels = frames.tiny_images(images), frames.tiny_pixels()
        segmentation = _segmentation(content, result_object, tiny_images, tiny_pixels)
        complete = frames.complete
    result = _with_attributes(segmentation, content, result_object)
    complete(result)
    return [result]


def transfer_syntax_of(encoding: SegEncoding) -> UID:
    """Returns the transfer syntax that a segmentation is encoded in.

    A label map is compressed by RLE (PS3.5 annex G): every toolkit decodes it exactly, it cannot be
    mistaken for a lossy syntax, and areas of one value shrink well. BINARY pixels stay packed,
    because no lossless syntax for single bits is in wide use.
    """
    return RLELossless if encoding is SegEncoding.LABELMAP else ExplicitVRLittleEndian


def _binary_frames(
    content: ResultContent, result_object: ResultObject, labels: Labels
) -> BinaryFrames:
    omit_empty = result_object.encoding is SegEncoding.SPARSE
    return BinaryFrames(labels, tuple(label.index for label in content.mask.labels), omit_empty)


def _with_attributes(
    segmentation: hd.seg.Segmentation, content: ResultContent, result_object: ResultObject
) -> Dataset:
    """Returns highdicom's segmentation with the attributes that highdicom does not set."""
    derivation = _derivation(content)
    segmentation.DerivationDescription = derivation
    segmentation.ContentCreatorName = None  # type 2; no person created the result
    organization = content.uids(result_object).derived_uid("dimensions")
    _set_dimension_organization_uid(segmentation, organization)
    texts = (
        segmentation.SeriesDescription,
        segmentation.ContentDescription,
        derivation,
        *(label.name for label in content.mask.labels),
    )
    return complete_result(
        segmentation,
        content.source,
        content.spec,
        content.made_at,
        texts,
        transfer_syntax_uid=transfer_syntax_of(result_object.encoding),
    )


def _segmentation(
    content: ResultContent,
    result_object: ResultObject,
    images: list[Dataset],
    segments: NDArray[np.uint8],
) -> hd.seg.Segmentation:
    """Returns highdicom's segmentation of segment numbers (image, row, column).

    Images without a segment get no frame if it is a BINARY one.
    """
    node = this_node()
    uids = content.uids(result_object)
    segmentation = hd.seg.Segmentation(
        source_images=images,
        pixel_array=segments,
        segmentation_type=_TYPES[result_object.encoding],
        segment_descriptions=segment_descriptions(content),
        series_instance_uid=uids.series_instance_uid,
        series_number=series_number(content, result_object),
        sop_instance_uid=uids.sop_instance_uid(),
        instance_number=1,
        manufacturer=node.manufacturer,
        manufacturer_model_name=node.model_name,
        software_versions=node.software_version,
        device_serial_number=node.serial_number,
        content_description=content.texts.content_description,
        content_label=content_label(content),
        series_description=series_description(content, result_object),
        transfer_syntax_uid=transfer_syntax_of(result_object.encoding),
        omit_empty_frames=result_object.encoding is not SegEncoding.LABELMAP,
    )
    _number_source_frames(segmentation, content.source.referenced_frames)
    return segmentation


def _check_input(content: ResultContent) -> None:
    mask, source = content.mask, content.source
    if mask.volume.shape != source.volume.shape or not np.allclose(
        mask.volume.affine, source.volume.affine
    ):
        raise ValueError("the mask is not on the grid of its source")
    if content.made_at.tzinfo is None:
        raise ValueError("made_at has no time zone")
    check_source_uids(source)


def _labels_on_images(mask: Mask, source: CtSeries) -> tuple[list[Dataset], Labels]:
    """Returns the reference images and the label indices on them (image, row, column)."""
    images = reference_images(source)
    labels = labels_on_source_slices(mask, source)  # (slice, row, column), source slices
    if source.frame_numbers:
        return images, labels[np.argsort(source.frame_numbers)]  # in the order of the frames
    # From the head to the feet. highdicom marks the result as 3D only in this order.
    images.reverse()
    return images, labels[::-1]


def _segment_numbers(labels: Labels, mask: Mask) -> NDArray[np.uint8]:
    """Returns segment numbers (image, row, column), from 1 in the order of the mask's labels."""
    number_of = np.zeros(256, dtype=np.uint8)
    for number, label in enumerate(mask.labels, start=1):
        number_of[label.index] = number
    numbers: NDArray[np.uint8] = number_of[labels]
    return numbers


def _describe_background_last(result: Dataset) -> None:
    """Moves segment 0 to the end of the Segment Sequence.

    OHIF 3 takes an organ's colour from the item with the position of its segment number, from 1.
    """
    background, *organs = result.SegmentSequence
    result.SegmentSequence = [*organs, background]


def _set_dimension_organization_uid(result: Dataset, organization: Uid) -> None:
    """Replaces highdicom's random UID by one that depends only on the result's identity."""
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for dimension in result.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = organization


def _number_source_frames(result: Dataset, numbers: tuple[int, ...]) -> None:
    """Replaces numbers among the frames of a part by `numbers`, those in the source object.

    Without `numbers`, all frames of the source are referenced, and their numbers are right.
    """
    if not numbers:
        return
    for image in result.get("SourceImageSequence") or ():  # PS3.3 C.7.6.1.1.4
        image.ReferencedFrameNumber = list(numbers)
    for frame in result.PerFrameFunctionalGroupsSequence:
        for derivation in frame.get("DerivationImageSequence") or ():  # PS3.3 C.7.6.16.2.6
            for image in derivation.SourceImageSequence:
                image.ReferencedFrameNumber = numbers[int(image.ReferencedFrameNumber) - 1]


def _derivation(content: ResultContent) -> str:
    """Returns the derivation description, at most 1024 characters (ST)."""
    spec, replaces = content.spec, content.replaces
    text = (
        f"Segmented automatically by {spec.model_id} {spec.version} from "
        f"{content.source.slice_count} slices; {NOT_FOR_DIAGNOSTIC_USE}."
    )
    mark = [f"{MARKED}."] * content.is_marked
    text = " ".join([text, *mark, *(one.text for one in series_findings(content.source))])
    if replaces is None:
        return text
    by = f" by version {replaces.model_version}" if replaces.model_version else ""
    return (
        f"{text} Replaces the result {replaces.sop_instance_uid}, which was made{by} from "
        f"{instances(replaces.instance_count)}; this one is made from "
        f"{len(content.source.sources)}."
    )
