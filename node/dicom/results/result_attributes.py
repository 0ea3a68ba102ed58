"""Completion of a result with what highdicom does not set: context, equipment, times and UIDs."""

import re
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from node.dicom.ct.reader import CtSeries
from node.dicom.equipment import Equipment, file_meta, this_node
from node.dicom.results.context import copy_context_attributes
from node.domain.identifiers import mint_uid
from node.domain.job import ResultIdentity

# Segmented property type (SCT) -> Body Part Examined (PS3.16 Annex L), if the source has none.
_BODY_PARTS = {
    "10200004": "LIVER",
    "78961009": "SPLEEN",
    "64033007": "KIDNEY",
    "15776009": "PANCREAS",
}
# Code strings (CS): capitals, digits, spaces and underscores, at most 16 characters (PS3.5 6.2).
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_MAX_UTC_OFFSET = timedelta(hours=14)
# Purposes of reference, PS3.16 CID 7005.
_ACQUISITION = Code("109101", "DCM", "Acquisition Equipment")
_PROCESSING = Code("109102", "DCM", "Processing Equipment")
_EQUIPMENT_KEYWORDS = (
    "Manufacturer",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "ManufacturerModelName",
    "DeviceSerialNumber",
    "DeviceUID",
    "SoftwareVersions",
)


def complete_result(
    segmentation: Dataset,
    source: CtSeries,
    *,
    model: str,
    identity: ResultIdentity,
    made_at: datetime,
    derivation: str,
) -> Dataset:
    """Returns highdicom's data set as a plain one, with every attribute that highdicom lacks."""
    result = Dataset()
    result.update(segmentation)
    node = this_node()
    header = _context_source(source)
    _identify_segments_per_frame(result)
    _set_dimension_organization_uid(result, identity)
    _set_creation_times(result, header, made_at)
    result.DerivationDescription = derivation
    result.ContentCreatorName = None  # type 2; no person created the result
    result.SoftwareVersions = [node.software_version, model]
    result.DeviceUID = node.device_uid
    result.PixelData = _padded_pixel_data(result)
    _set_body_part(result, header)
    result.ContributingEquipmentSequence = _contributing_equipment(header, node, made_at)
    texts = (result.SeriesDescription, result.ContentDescription, derivation)
    labels = tuple(str(segment.SegmentLabel) for segment in result.SegmentSequence)
    copy_context_attributes(header, result, (*texts, *labels))
    result.file_meta = file_meta(result, ExplicitVRLittleEndian)
    return result


def _context_source(source: CtSeries) -> Dataset:
    """Returns the header that supplies the context: the first with a PatientID, else the first."""
    return next((image for image in source.sources if image.get("PatientID")), source.sources[0])


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


def _set_creation_times(result: Dataset, header: Dataset, made_at: datetime) -> None:
    """Sets all dates and times of the result's creation and the time zone they are written in."""
    zone = _time_zone(header)
    local = made_at.astimezone(zone)  # None: the node's own time zone
    result.TimezoneOffsetFromUTC = local.strftime("%z")
    for prefix in ("InstanceCreation", "Series", "Content"):
        setattr(result, f"{prefix}Date", local.strftime("%Y%m%d"))
        setattr(result, f"{prefix}Time", local.strftime("%H%M%S.%f"))


def _time_zone(header: Dataset) -> timezone | None:
    """Returns the source's TimezoneOffsetFromUTC (`+0130`); None if it is absent or invalid.

    The result has the source's time zone because it copies the source's dates and times.
    """
    text = str(header.get("TimezoneOffsetFromUTC", "")).strip()
    if len(text) != 5 or text[0] not in "+-" or not text[1:].isdigit():
        return None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:]))
    if offset > _MAX_UTC_OFFSET:
        return None
    return timezone(-offset if text[0] == "-" else offset)


def _set_body_part(result: Dataset, header: Dataset) -> None:
    """Copies the source's body part; if it is not a code string, sets that of a single organ."""
    body_part = str(header.get("BodyPartExamined") or "").strip().upper()
    organs = [s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in result.SegmentSequence]
    if _CODE_STRING.fullmatch(body_part):
        result.BodyPartExamined = body_part
    elif len(organs) == 1 and organs[0] in _BODY_PARTS:
        result.BodyPartExamined = _BODY_PARTS[organs[0]]


def _contributing_equipment(header: Dataset, node: Equipment, made_at: datetime) -> list[Dataset]:
    """Returns the scanner, as far as the source names it, then this node (PS3.3 C.12.1)."""
    items = []
    if header.get("Manufacturer"):
        scanner = Dataset()
        scanner.PurposeOfReferenceCodeSequence = [_code_item(_ACQUISITION)]
        for keyword in _EQUIPMENT_KEYWORDS:
            if header.get(keyword):
                scanner[keyword] = header[keyword]
        items.append(scanner)
    processor = Dataset()
    processor.PurposeOfReferenceCodeSequence = [_code_item(_PROCESSING)]
    processor.Manufacturer = node.manufacturer
    processor.ManufacturerModelName = node.model_name
    processor.DeviceSerialNumber = node.serial_number
    processor.SoftwareVersions = node.software_version
    processor.DeviceUID = node.device_uid
    local = made_at.astimezone(_time_zone(header))
    processor.ContributionDateTime = local.strftime("%Y%m%d%H%M%S.%f%z")
    processor.ContributionDescription = "Automatic segmentation"
    return [*items, processor]


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
