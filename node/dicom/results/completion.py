"""What highdicom leaves to be said in a result: context, equipment, times and fixed UIDs."""

import re
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.dicom.ct.reader import CtSeries
from node.dicom.equipment import Equipment, this_node
from node.dicom.results.context import carry_context
from node.domain.identifiers import mint_uid
from node.domain.job import ResultIdentity

# Segmented property type (SCT) -> Body Part Examined, PS3.16 Annex L; for a source that is silent.
_BODY_PARTS = {
    "10200004": "LIVER",
    "78961009": "SPLEEN",
    "64033007": "KIDNEY",
    "15776009": "PANCREAS",
}
# Code strings (CS): capitals, digits, space and underscore, at most 16 (PS3.5 6.2).
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")
_FARTHEST_ZONE = timedelta(hours=14)
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


def finish(
    segmentation: Dataset,
    source: CtSeries,
    *,
    model: str,
    identity: ResultIdentity,
    made_at: datetime,
    derivation: str,
) -> Dataset:
    """A plain data set from highdicom's, with everything that highdicom does not know."""
    result = Dataset()
    result.update(segmentation)
    node = this_node()
    header = _fullest(source)
    _identify_segments_per_frame(result)
    _fix_uids(result, identity)
    _stamp(result, header, made_at)
    result.DerivationDescription = derivation
    result.ContentCreatorName = None  # type 2, and no person made it
    result.SoftwareVersions = [node.software_version, model]
    result.DeviceUID = node.device_uid
    result.PixelData = _padded(result)
    _set_body_part(result, header)
    result.ContributingEquipmentSequence = _contributions(header, node, made_at)
    texts = (result.SeriesDescription, result.ContentDescription, derivation)
    labels = tuple(str(segment.SegmentLabel) for segment in result.SegmentSequence)
    carry_context(header, result, (*texts, *labels))
    result.file_meta = _file_meta(result, node)
    return result


def _fullest(source: CtSeries) -> Dataset:
    """The header that the context is taken from: the first that names the patient, if any does."""
    return next((image for image in source.sources if image.get("PatientID")), source.sources[0])


def _identify_segments_per_frame(result: Dataset) -> None:
    """Move a shared segment identification into each frame, where viewers look for it."""
    shared = result.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" not in shared:
        return
    number = shared.SegmentIdentificationSequence[0].ReferencedSegmentNumber
    del shared.SegmentIdentificationSequence
    for frame in result.PerFrameFunctionalGroupsSequence:
        item = Dataset()
        item.ReferencedSegmentNumber = number
        frame.SegmentIdentificationSequence = [item]


def _padded(result: Dataset) -> bytes:
    """The packed bits, of even length, and nothing but zeros behind the last frame (PS3.5 8.1.1).

    highdicom 0.28 pads with the character "0", whose bits are not all zero.
    """
    bits = int(result.NumberOfFrames) * int(result.Rows) * int(result.Columns)
    length = (bits + 7) // 8
    return bytes(result.PixelData)[:length] + b"\0" * (length % 2)


def _fix_uids(result: Dataset, identity: ResultIdentity) -> None:
    organization = mint_uid(identity.sop_instance_uid, "dimensions")
    result.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for dimension in result.DimensionIndexSequence:
        dimension.DimensionOrganizationUID = organization


def _stamp(result: Dataset, header: Dataset, made_at: datetime) -> None:
    """Every date and time of the result's making, in the zone that the result declares."""
    zone = _zone(header)
    local = made_at.astimezone(zone)  # without a zone: the node's own
    result.TimezoneOffsetFromUTC = local.strftime("%z")
    for prefix in ("InstanceCreation", "Series", "Content"):
        setattr(result, f"{prefix}Date", local.strftime("%Y%m%d"))
        setattr(result, f"{prefix}Time", local.strftime("%H%M%S.%f"))


def _zone(header: Dataset) -> timezone | None:
    """The source's TimezoneOffsetFromUTC (`+0130`), as its dates and times are carried along."""
    said = str(header.get("TimezoneOffsetFromUTC", "")).strip()
    if len(said) != 5 or said[0] not in "+-" or not said[1:].isdigit():
        return None
    offset = timedelta(hours=int(said[1:3]), minutes=int(said[3:]))
    if offset > _FARTHEST_ZONE:
        return None
    return timezone(-offset if said[0] == "-" else offset)


def _set_body_part(result: Dataset, header: Dataset) -> None:
    """The source's body part; where that is no code string, the organ if it is one alone."""
    said = str(header.get("BodyPartExamined") or "").strip().upper()
    kinds = [s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in result.SegmentSequence]
    if _CODE_STRING.fullmatch(said):
        result.BodyPartExamined = said
    elif len(kinds) == 1 and kinds[0] in _BODY_PARTS:
        result.BodyPartExamined = _BODY_PARTS[kinds[0]]


def _contributions(header: Dataset, node: Equipment, made_at: datetime) -> list[Dataset]:
    """The scanner as far as the source names it, then this node (PS3.3 C.12.1)."""
    items = []
    if header.get("Manufacturer"):
        scanner = Dataset()
        scanner.PurposeOfReferenceCodeSequence = [_code_item(_ACQUISITION)]
        for keyword in _EQUIPMENT_KEYWORDS:
            if header.get(keyword):
                scanner[keyword] = header[keyword]
        items.append(scanner)
    us = Dataset()
    us.PurposeOfReferenceCodeSequence = [_code_item(_PROCESSING)]
    us.Manufacturer = node.manufacturer
    us.ManufacturerModelName = node.model_name
    us.DeviceSerialNumber = node.serial_number
    us.SoftwareVersions = node.software_version
    us.DeviceUID = node.device_uid
    us.ContributionDateTime = made_at.astimezone(_zone(header)).strftime("%Y%m%d%H%M%S.%f%z")
    us.ContributionDescription = "Automatic segmentation"
    return [*items, us]


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _file_meta(result: Dataset, node: Equipment) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom writes the true one where it is present
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(node.implementation_class_uid)
    meta.ImplementationVersionName = node.implementation_version_name
    return meta
