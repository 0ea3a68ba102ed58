"""Encoding of measurements and findings as a Structured Report (PS3.16 TID 1500).

The SOP class is Comprehensive 3D SR (PS3.3 A.35.13), the one that the IHE profile AI Results asks
for. Every item of the report is also allowed in Enhanced SR.
"""

from collections.abc import Iterator, Sequence

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as SrCode

from models.measurement import is_found
from node.dicom.ct.reader import CtSeries
from node.dicom.equipment import this_node
from node.dicom.results.content import ResultContent
from node.dicom.results.measurement_groups import (
    PRIVATE_SCHEME,
    measurement_groups,
    qualitative_evaluations,
    sop_class_of_segments,
)
from node.dicom.results.references import reference_images
from node.dicom.results.result_attributes import complete_result
from node.dicom.results.series_texts import series_description, series_number
from node.domain.result_objects import ResultObject
from node.domain.texts.numbers import instances, millilitres
from node.domain.texts.result_texts import MARKED

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_CONTEXT = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_LANGUAGE = sr.CodedConcept("en", "RFC5646", "English")  # PS3.16 CID 5000
_MAX_MEANING_LENGTH = 64  # LO
_MAX_CODE_LENGTH = 16  # SH
# Attributes of all results that the modules of a report do not have (PS3.3 A.35.13.3).
_NOT_IN_REPORTS = (
    "BodyPartExamined",
    "PositionReferenceIndicator",
    "RequestAttributesSequence",
)


def encode(content: ResultContent, result_object: ResultObject) -> list[Dataset]:
    """Encodes the measurements and findings as one report with file meta information.

    The report references the segments of `result_object.segmentation`. It is complete, and neither
    verified nor final, because no person has seen it. Equal input gives equal bytes.

    Raises:
        ValueError: none of the organs was found.
    """
    node = this_node()
    uids = content.uids(result_object)
    source = content.source
    images = reference_images(source)
    description = series_description(content, result_object)
    remarks = _remarks(content)
    procedures = _procedures(content.source.sources[0])
    report = sr.Comprehensive3DSR(
        evidence=[*images, _segmentation(content, result_object)],
        content=_document(content, result_object, _image_library(images, source), remarks)[0],
        series_instance_uid=uids.series_instance_uid,
        series_number=series_number(content, result_object),
        sop_instance_uid=uids.sop_instance_uid(),
        instance_number=1,
        manufacturer=node.manufacturer,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description=description,
    )
    texts = (
        description,
        *remarks,
        *(procedure.meaning for procedure in procedures),
        *(label.name for label in content.mask.labels),
        *(finding.text for finding in content.findings),
    )
    result = complete_result(report, content.source, content.spec, content.made_at, texts)
    result.CodingSchemeIdentificationSequence = [_private_scheme()]
    _set_requests(result, content.source.sources[0])
    for keyword in _NOT_IN_REPORTS:
        if keyword in result:
            del result[keyword]
    return [result]


def _document(
    content: ResultContent,
    result_object: ResultObject,
    library: Dataset,
    remarks: Sequence[str],
) -> sr.MeasurementReport:
    """Returns the content tree (PS3.16 TID 1500) with the image library."""
    document = sr.MeasurementReport(
        observation_context=_observation_context(),
        procedure_reported=_procedures(content.source.sources[0]),
        imaging_measurements=measurement_groups(content, result_object),
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(_LANGUAGE),
    )
    items = document[0].ContentSequence
    # The library comes before the measurements, as in the template.
    items.insert(len(items) - 1, library)
    items.append(qualitative_evaluations(content, remarks))
    _separate_items(document[0])
    return document


def _separate_items(item: Dataset) -> None:
    """Separates the items of each container of the tree (PS3.3 C.18.8).

    Viewers show the items of a continuous container as running text, without names of the values.
    """
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence") or ():
        _separate_items(child)


def _observation_context() -> sr.ObservationContext:
    """Names this node as the device that observed (PS3.16 TID 1001 and TID 1004)."""
    node = this_node()
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=node.device_uid,
        name=node.model_name,
        manufacturer_name=node.manufacturer,
        model_name=node.model_name,
        serial_number=node.serial_number,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, device)
    )


def _image_library(images: Sequence[Dataset], source: CtSeries) -> Dataset:
    """Lists the source images as one group, which states what they share (PS3.16 TID 1600)."""
    frames = source.referenced_frames
    group = sr.ContainerContentItem(codes.DCM.ImageLibraryGroup, relationship_type=_CONTAINS)
    group.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(codes.DCM.Modality, codes.DCM.ComputedTomography, _CONTEXT),
            sr.UIDRefContentItem(
                codes.DCM.FrameOfReferenceUID, str(images[0].FrameOfReferenceUID), _CONTEXT
            ),
            *(
                sr.ImageContentItem(
                    name=SrCode("260753009", "SCT", "Source"),
                    referenced_sop_class_uid=image.SOPClassUID,
                    referenced_sop_instance_uid=image.SOPInstanceUID,
                    referenced_frame_numbers=list(frames) or None,
                    relationship_type=_CONTAINS,
                )
                for image in images
            ),
        ]
    )
    library = sr.ContainerContentItem(codes.DCM.ImageLibrary, relationship_type=_CONTAINS)
    library.ContentSequence = sr.ContentSequence([group])
    return library


def _procedures(source: Dataset) -> list[SrCode]:
    """Returns the source's procedure codes, else CT in general (PS3.16 CID 100)."""
    found = []
    for item in source.get("ProcedureCodeSequence") or ():
        code = SrCode(
            str(item.get("CodeValue") or ""),
            str(item.get("CodingSchemeDesignator") or ""),
            str(item.get("CodeMeaning") or "")[:_MAX_MEANING_LENGTH],
        )
        if all(code[:3]) and max(map(len, code[:2])) <= _MAX_CODE_LENGTH:
            found.append(code)
    return found or [SrCode("25045-6", "LN", "CT unspecified body region")]


def _remarks(content: ResultContent) -> list[str]:
    """Returns the sentences that concern the whole report."""
    spec, replaces = content.spec, content.replaces
    remarks = [
        f"Not for diagnostic use: measured automatically in the segmentation of {spec.model_id} "
        f"{spec.version}, and not verified by a person.",
        f"Volumes: {', '.join(_volumes(content))}.",
    ]
    if content.is_marked:
        remarks.append(f"{MARKED}.")
    if replaces is not None:
        by = f" by version {replaces.model_version}" if replaces.model_version else ""
        remarks.append(
            f"Replaces the measurements in the result {replaces.sop_instance_uid}, which was "
            f"made{by} from {instances(replaces.instance_count)}."
        )
    return remarks


def _volumes(content: ResultContent) -> Iterator[str]:
    """Yields name and volume of each organ that was found, for readers without the SEG."""
    for label in content.mask.labels:
        measured = content.measurements[label.name]
        if is_found(measured, label):
            is_lower_bound = measured.is_lower_bound
            at_least = "at least " if is_lower_bound else ""
            yield f"{label.name.lower()} {at_least}{millilitres(measured.volume_ml)}"


def _segmentation(content: ResultContent, result_object: ResultObject) -> Dataset:
    """Returns the identifiers of the SEG that the report references."""
    uids = content.uids(result_object.segmentation)
    segmentation = Dataset()
    segmentation.SOPClassUID = sop_class_of_segments(result_object)
    segmentation.SOPInstanceUID = uids.sop_instance_uid()
    segmentation.SeriesInstanceUID = uids.series_instance_uid
    segmentation.StudyInstanceUID = content.source.sources[0].StudyInstanceUID
    return segmentation


def _private_scheme() -> Dataset:
    """Identifies the coding scheme of the node's own concepts (PS3.3 C.12.1.1.7)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = "Findings of segnode"
    scheme.CodingSchemeResponsibleOrganization = this_node().manufacturer
    return scheme


def _set_requests(result: Dataset, source: Dataset) -> None:
    """States the orders that the images were made for (PS3.3 C.17.2), if the source names one."""
    requests = result.get("RequestAttributesSequence") or ()
    if not requests and result.AccessionNumber:
        requests = [Dataset()]
    items = []
    for request in requests:
        item = Dataset()
        item.StudyInstanceUID = result.StudyInstanceUID
        item.ReferencedStudySequence = request.get("ReferencedStudySequence") or []
        item.AccessionNumber = request.get("AccessionNumber") or result.AccessionNumber
        for keyword in (
            "PlacerOrderNumberImagingServiceRequest",
            "FillerOrderNumberImagingServiceRequest",
        ):
            setattr(item, keyword, source.get(keyword))
        for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
            setattr(item, keyword, request.get(keyword))
        item.RequestedProcedureCodeSequence = request.get("RequestedProcedureCodeSequence") or []
        items.append(item)
    if items:
        result.ReferencedRequestSequence = items
