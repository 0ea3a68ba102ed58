"""Encoding of a mask as an RT Structure Set (PS3.3 A.19): closed contours on the source slices."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SrCode
from pydicom.uid import RTStructureSetStorage

from models.manifest import Code, Label
from models.measurement import is_found
from node.dicom.results.content import ResultContent
from node.dicom.results.contours.contour_sequence import contour_image, contour_sequences
from node.dicom.results.references import check_source_uids
from node.dicom.results.result_attributes import complete_result
from node.dicom.results.series_texts import series_description, series_number
from node.domain.result_objects import ResultObject
from node.domain.texts.numbers import instances
from node.domain.texts.result_texts import MARKED, MAX_LONG_STRING, NOT_FOR_DIAGNOSTIC_USE

# The class that RT Referenced Study Sequence names by convention; it is retired (PS3.4 annex A).
_DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
_VOLUME_DECIMALS = 3  # to a cubic millimetre
# Longest values, PS3.5 6.2.
_MAX_SHORT_STRING = 16
_MAX_SHORT_TEXT = 1024


@dataclass(frozen=True)
class _Roi:
    """An organ that was found, and its contours; `number` is that of its segment in a SEG."""

    number: int
    label: Label
    contours: list[Dataset] = field(repr=False)


def encode(content: ResultContent, result_object: ResultObject) -> list[Dataset]:
    """Encodes the mask as one RT Structure Set with file meta information.

    Each organ that was found is an ROI. Its contours follow the edges of its pixels on the source
    slices, so that a reader who fills them gets the pixels of the mask. Equal input gives equal
    bytes.

    Raises:
        Rejected: the source lacks a UID that the result must reference.
        ValueError: the mask is on another grid than the source, none of its organs was found, or
            `made_at` has no time zone.
    """
    _check_input(content)
    rois = _rois(content)
    if not rois:
        raise ValueError("none of the organs was found")
    dataset = Dataset()
    _set_series(dataset, content, result_object)
    _set_structure_set(dataset, content, rois)
    dataset.ROIContourSequence = [_roi_contour(roi) for roi in rois]
    dataset.RTROIObservationsSequence = [_observation(roi) for roi in rois]
    dataset.ApprovalStatus = "UNAPPROVED"  # PS3.3 C.8.8.16
    texts = _texts(dataset)
    result = complete_result(dataset, content.source, content.spec, content.made_at, texts)
    result.StructureSetDate, result.StructureSetTime = result.ContentDate, result.ContentTime
    # Attributes of image and document series, which RT Series (PS3.3 C.8.8.1) does not have.
    for keyword in ("ContentDate", "ContentTime", "BodyPartExamined"):
        if keyword in result:
            del result[keyword]
    return [result]


def _check_input(content: ResultContent) -> None:
    if not content.mask.volume.geometry_equal(content.source.volume):
        raise ValueError("the mask is not on the grid of its source")
    if content.made_at.tzinfo is None:
        raise ValueError("made_at has no time zone")
    check_source_uids(content.source)


def _rois(content: ResultContent) -> list[_Roi]:
    """Returns the organs that were found, in the order of the labels."""
    labels = content.mask.labels
    number_of = {label.index: number for number, label in enumerate(labels, start=1)}
    found = [label for label in labels if is_found(content.measurements[label.name], label)]
    contours = contour_sequences(content.mask, content.source, found)
    return [_Roi(number_of[label.index], label, items) for label, items in contours]


def _set_series(dataset: Dataset, content: ResultContent, result_object: ResultObject) -> None:
    """Sets SOP Common, RT Series and Frame of Reference (PS3.3 C.12.1, C.8.8.1, C.7.4.1)."""
    uids = content.uids(result_object)
    header = content.source.sources[0]
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = uids.sop_instance_uid()
    dataset.StudyInstanceUID = header.StudyInstanceUID
    dataset.SeriesInstanceUID = uids.series_instance_uid
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesDescription = series_description(content, result_object)
    dataset.SeriesNumber = series_number(content, result_object)
    dataset.OperatorsName = None  # type 2; no person created the result
    dataset.FrameOfReferenceUID = header.FrameOfReferenceUID


def _set_structure_set(dataset: Dataset, content: ResultContent, rois: Sequence[_Roi]) -> None:
    """Sets the Structure Set module (PS3.3 C.8.8.5) but for its date and time."""
    dataset.StructureSetLabel = content.spec.model_id[:_MAX_SHORT_STRING]
    dataset.StructureSetName = dataset.SeriesDescription
    dataset.StructureSetDescription = _description(content)
    dataset.InstanceNumber = 1
    dataset.ReferencedFrameOfReferenceSequence = [_referenced_frame_of_reference(content)]
    dataset.StructureSetROISequence = [_structure_set_roi(content, roi) for roi in rois]


def _description(content: ResultContent) -> str:
    """Returns Structure Set Description, at most 1024 characters (ST)."""
    spec, replaces = content.spec, content.replaces
    text = (
        f"Contours made automatically by {spec.model_id} {spec.version} from "
        f"{content.source.slice_count} slices; {NOT_FOR_DIAGNOSTIC_USE}. They follow pixel edges."
    )
    if content.is_marked:
        text += f" {MARKED}."
    if replaces is not None:
        by = f" by version {replaces.model_version}" if replaces.model_version else ""
        text += (
            f" They belong to a result that replaces {replaces.sop_instance_uid}, which was "
            f"made{by} from {instances(replaces.instance_count)}; this one is made from "
            f"{len(content.source.sources)}."
        )
    return text[:_MAX_SHORT_TEXT]


def _referenced_frame_of_reference(content: ResultContent) -> Dataset:
    """Returns the frame of reference with the study, series and every source image."""
    images = content.source.sources
    series = Dataset()
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    frames = content.source.referenced_frames
    series.ContourImageSequence = [contour_image(image, frames) for image in images]
    study = Dataset()
    study.ReferencedSOPClassUID = _DETACHED_STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = images[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = images[0].FrameOfReferenceUID
    item.RTReferencedStudySequence = [study]
    return item


def _structure_set_roi(content: ResultContent, roi: _Roi) -> Dataset:
    """Returns an item of Structure Set ROI Sequence (PS3.3 C.8.8.5)."""
    spec = content.spec
    item = Dataset()
    item.ROINumber = roi.number
    item.ReferencedFrameOfReferenceUID = content.source.sources[0].FrameOfReferenceUID
    item.ROIName = roi.label.name[:MAX_LONG_STRING]
    description = _roi_description(content, roi.label)
    if description:
        item.ROIDescription = description
    # In cm³, which are mL.
    item.ROIVolume = round(content.measurements[roi.label.name].volume_ml, _VOLUME_DECIMALS)
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    name = f"{spec.model_id} {spec.version}"
    item.ROIGenerationDescription = f"{name}, {NOT_FOR_DIAGNOSTIC_USE}"[:MAX_LONG_STRING]
    item.ROIDerivationAlgorithmIdentificationSequence = hd.AlgorithmIdentificationSequence(
        name=spec.model_id,
        family=codes.cid7162.ArtificialIntelligence,
        version=spec.version,
        source=spec.manufacturer,
        parameters={"weights_sha256": spec.weights_sha256},
    )
    return item


def _roi_description(content: ResultContent, label: Label) -> str:
    """Returns the findings about the organ, at most 1024 characters (ST)."""
    texts = [finding.text for finding in content.findings if finding.organ == label.name]
    return " ".join(texts)[:_MAX_SHORT_TEXT]


def _roi_contour(roi: _Roi) -> Dataset:
    """Returns an item of ROI Contour Sequence (PS3.3 C.8.8.6)."""
    item = Dataset()
    item.ROIDisplayColor = list(roi.label.display_rgb)
    item.ContourSequence = roi.contours
    item.ReferencedROINumber = roi.number
    return item


def _observation(roi: _Roi) -> Dataset:
    """Returns an item of RT ROI Observations Sequence (PS3.3 C.8.8.8)."""
    item = Dataset()
    item.SegmentedPropertyCategoryCodeSequence = [_code_item(roi.label.category)]
    item.ObservationNumber = roi.number
    item.ReferencedROINumber = roi.number
    item.RTROIIdentificationCodeSequence = [_code_item(roi.label.type)]
    item.RTROIInterpretedType = "ORGAN"
    item.ROIInterpreter = None  # type 2; no person interpreted it
    return item


def _code_item(code: Code) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept.from_code(SrCode(code.value, code.scheme, code.meaning))


def _texts(dataset: Dataset) -> list[str]:
    """Returns the texts that the node wrote, which the character set must hold."""
    texts = [dataset.SeriesDescription, dataset.StructureSetLabel, dataset.StructureSetDescription]
    for item in dataset.StructureSetROISequence:
        texts += [item.ROIName, item.get("ROIDescription", ""), item.ROIGenerationDescription]
    return texts
