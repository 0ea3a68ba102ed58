"""Encoding of a mask as a DICOM Segmentation (PS3.3 A.51) on the slices of its source.

Frames take their geometry from the source slices. Empty frames are written as well, because some
viewers shift masks in which frames are missing.
"""

from dataclasses import dataclass
from datetime import datetime

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SrCode
from pydicom.uid import ExplicitVRLittleEndian

from models.manifest import Code, Label, ModelSpec
from models.mask import Mask
from node.dicom.ct.reader import CtSeries
from node.dicom.equipment import this_node
from node.dicom.results.label_interpolation import interpolate_labels
from node.dicom.results.references import reference_images
from node.dicom.results.result_attributes import complete_result
from node.domain.errors import Rejected, RejectionReason
from node.domain.identifiers import Uid, mint_uid
from node.domain.job import ReplacedResult, ResultIdentity

NOT_FOR_DIAGNOSTIC_USE = "not for diagnostic use"


@dataclass(frozen=True)
class SegOptions:
    """Attributes of the result that a site configures; texts of at most 64 characters (LO)."""

    series_description: str = f"Segmentation, {NOT_FOR_DIAGNOSTIC_USE}"
    series_number: int = 900
    content_description: str = f"Automatic segmentation, {NOT_FOR_DIAGNOSTIC_USE}"
    content_label: str = "SEGMENTATION"  # capitals, digits, underscore; at most 16 (CS)
    instance_number: int = 1


def encode(
    mask: Mask,
    source: CtSeries,
    spec: ModelSpec,
    *,
    identity: ResultIdentity,
    options: SegOptions,
    made_at: datetime,
    replaces: ReplacedResult | None = None,
) -> Dataset:
    """Encodes the mask as a DICOM SEG of type BINARY with file meta information.

    `mask` is on the grid of `source.volume`; the frames are on the source slices. Equal input gives
    equal bytes. `made_at` is time zone aware; it is written in the time zone of the source, or in
    the local one if the source has none.

    Raises:
        Rejected: the source lacks a UID that the result must reference.
        ValueError: the mask is on another grid than the source, or `made_at` has no time zone.
    """
    _check_input(mask, source, made_at)
    images, segments = _frames(mask, source)
    node = this_node()
    segmentation = hd.seg.Segmentation(
        source_images=images,
        pixel_array=segments,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(mask.labels, spec, identity),
        series_instance_uid=identity.series_instance_uid,
        series_number=options.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=options.instance_number,
        manufacturer=node.manufacturer,
        manufacturer_model_name=node.model_name,
        software_versions=node.software_version,
        device_serial_number=node.serial_number,
        content_description=options.content_description,
        content_label=options.content_label,
        series_description=options.series_description,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )
    derivation = _derivation(source, spec, replaces)
    segmentation.DerivationDescription = derivation
    segmentation.ContentCreatorName = None  # type 2; no person created the result
    segmentation.PixelData = _padded_pixel_data(segmentation)
    _identify_segments_per_frame(segmentation)
    _set_dimension_organization_uid(segmentation, identity)
    texts = (options.series_description, options.content_description, derivation)
    names = (label.name for label in mask.labels)
    return complete_result(segmentation, source, spec, made_at, (*texts, *names))


def _check_input(mask: Mask, source: CtSeries, made_at: datetime) -> None:
    if mask.volume.shape != source.volume.shape or not np.allclose(
        mask.volume.affine, source.volume.affine
    ):
        raise ValueError("the mask is not on the grid of its source")
    if made_at.tzinfo is None:
        raise ValueError("made_at has no time zone")
    _check_source_uids(source)


def _check_source_uids(source: CtSeries) -> None:
    """Raises Rejected if a source image lacks a UID that the result must reference."""
    for image in source.sources:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if not image.get(keyword):
                raise Rejected(
                    RejectionReason.INVALID_INSTANCE,
                    f"The images have no {keyword}, so a DICOM result cannot be tied to them. "
                    "Send the original series.",
                )


def _frames(mask: Mask, source: CtSeries) -> tuple[list[Dataset], NDArray[np.uint8]]:
    """Returns the reference images and the segment numbers (frame, row, column)."""
    images = reference_images(source)
    segments = _segment_numbers(mask, source)  # (slice, row, column), source slices
    if source.frame_numbers:
        segments = segments[np.argsort(source.frame_numbers)]  # in the order of the frames
    else:
        # From the head to the feet. highdicom marks the result as 3D only in this order.
        images.reverse()
        segments = segments[::-1]
    return images, segments


def _segment_numbers(mask: Mask, source: CtSeries) -> NDArray[np.uint8]:
    """Returns segment numbers (slice, row, column), from 1 in the order of the labels.

    There is one slice per source slice.
    """
    number_of = np.zeros(256, dtype=np.uint8)
    for number, label in enumerate(mask.labels, start=1):
        number_of[label.index] = number
    labels = mask.volume.array
    if source.is_resampled:
        labels = interpolate_labels(labels, source.fractional_slice_indices())
    numbers: NDArray[np.uint8] = number_of[labels]
    return numbers


def _descriptions(
    labels: tuple[Label, ...], spec: ModelSpec, identity: ResultIdentity
) -> list[hd.seg.SegmentDescription]:
    algorithm = hd.AlgorithmIdentificationSequence(
        name=spec.model_id,
        family=codes.cid7162.ArtificialIntelligence,
        version=spec.version,
        source=spec.manufacturer,
        parameters={"weights_sha256": spec.weights_sha256},
    )
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label.name,
            segmented_property_category=_code(label.category),
            segmented_property_type=_code(label.type),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=_tracking_uid(identity, label, len(labels)),
            tracking_id=f"{spec.model_id} {label.name}",
            display_color=hd.color.CIELabColor.from_rgb(*label.display_rgb),
        )
        for number, label in enumerate(labels, start=1)
    ]


def _identify_segments_per_frame(result: Dataset) -> None:
    """Moves a shared segment identification into each frame, where viewers expect it."""
    shared = result.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" not in shared:
        return
    number = shared.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    del shared.SegmentIdentificationSequence
    for frame in result.PerFrameFunctionalGroupsSequence:
        item = Dataset()
        item.ReferencedSegmentNumber = number
        frame.SegmentIdentificationSequence = [item]


def _padded_pixel_data(result: Dataset) -> bytes:
    """Returns the packed bits, padded with zero bytes to even length (PS3.5 8.1.1).

    highdicom 0.28 pads with the character "0", whose bits are not all zero.
    """
    bits = int(result.NumberOfFrames) * int(result.Rows) * int(result.Columns)
    length = (bits + 7) // 8
    return bytes(result.PixelData)[:length] + b"\0" * (length % 2)


def _set_dimension_organization_uid(result: Dataset, identity: ResultIdentity) -> None:
    """Replaces highdicom's random UID by one that depends only on the result's identity."""
    organization = mint_uid(identity.sop_instance_uid, "dimensions")
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for dimension in result.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = organization


def _tracking_uid(identity: ResultIdentity, label: Label, label_count: int) -> Uid:
    """Returns the identity's tracking UID for a single label, else one derived per label."""
    if label_count == 1:
        return identity.tracking_uid
    return mint_uid(identity.tracking_uid, str(label.index))


def _code(code: Code) -> SrCode:
    return SrCode(code.value, code.scheme, code.meaning)


def _derivation(source: CtSeries, spec: ModelSpec, replaces: ReplacedResult | None) -> str:
    """Returns the derivation description, at most 1024 characters (ST)."""
    text = (
        f"Segmented automatically by {spec.model_id} {spec.version} from "
        f"{source.slice_count} slices; {NOT_FOR_DIAGNOSTIC_USE}."
    )
    if replaces is None:
        return text
    by = f" by version {replaces.model_version}" if replaces.model_version else ""
    return (
        f"{text} Replaces the result {replaces.sop_instance_uid}, which was made{by} from "
        f"{replaces.instance_count} instances; this one is made from {len(source.sources)}."
    )
