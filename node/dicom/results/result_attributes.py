"""Completion of any result with context, equipment and times, which highdicom does not set."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from models.manifest import ModelSpec
from node.dicom.ct.reader import CtSeries
from node.dicom.equipment import Equipment, file_meta, this_node
from node.dicom.results.context import copy_context_attributes
from node.domain.identifiers import mint_uid

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
    dataset: Dataset,
    source: CtSeries,
    spec: ModelSpec,
    made_at: datetime,
    own_texts: Sequence[str],
    *,
    transfer_syntax_uid: UID = ExplicitVRLittleEndian,
) -> Dataset:
    """Returns highdicom's data set as a plain one, with the attributes that every result has.

    They are patient, study, character set, dates and times of the creation, equipment, body part
    and file meta information. `own_texts` are the texts that the node wrote into `dataset`; the
    character set is chosen so that it holds them.
    """
    header = context_source(source)
    result = complete_from_header(
        dataset,
        header,
        f"{spec.model_id} {spec.version}",
        made_at,
        (*own_texts, spec.manufacturer),
        transfer_syntax_uid=transfer_syntax_uid,
    )
    result.ContributingEquipmentSequence.append(_algorithm(spec, local_time(header, made_at)))
    _set_missing_body_part(result, spec)
    return result


def complete_from_header(
    dataset: Dataset,
    header: Dataset,
    software: str,
    made_at: datetime,
    own_texts: Sequence[str],
    *,
    transfer_syntax_uid: UID = ExplicitVRLittleEndian,
) -> Dataset:
    """Returns `dataset` completed as `complete_result` does, but without a series that was read.

    `header` supplies patient, study and body part. `software` is the model and its version. The
    contributing equipment is the scanner and this node; `complete_result` adds the model.
    """
    result = Dataset()
    result.update(dataset)
    node = this_node()
    _set_creation_times(result, header, made_at)
    result.Manufacturer = node.manufacturer
    result.ManufacturerModelName = node.model_name
    result.DeviceSerialNumber = node.serial_number
    result.DeviceUID = node.device_uid
    result.SoftwareVersions = [node.software_version, software]
    _copy_body_part(result, header)
    result.ContributingEquipmentSequence = _contributing_equipment(header, node, made_at)
    copy_context_attributes(header, result, own_texts)
    result.file_meta = file_meta(result, transfer_syntax_uid)
    return result


def context_source(source: CtSeries) -> Dataset:
    """Returns the header that supplies the context: the first with a PatientID, else the first."""
    return next((image for image in source.sources if image.get("PatientID")), source.sources[0])


def _set_creation_times(result: Dataset, header: Dataset, made_at: datetime) -> None:
    """Sets all dates and times of the result's creation and the time zone they are written in."""
    local = local_time(header, made_at)
    result.TimezoneOffsetFromUTC = local.strftime("%z")
    for prefix in ("InstanceCreation", "Series", "Content"):
        setattr(result, f"{prefix}Date", local.strftime("%Y%m%d"))
        setattr(result, f"{prefix}Time", local.strftime("%H%M%S.%f"))


def local_time(header: Dataset, made_at: datetime) -> datetime:
    """Returns `made_at` in the source's time zone, or in the node's if the source states none."""
    return made_at.astimezone(_time_zone(header))


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


def _copy_body_part(result: Dataset, header: Dataset) -> None:
    """Copies the source's body part if it is a code string."""
    body_part = str(header.get("BodyPartExamined") or "").strip().upper()
    if _CODE_STRING.fullmatch(body_part):
        result.BodyPartExamined = body_part


def _set_missing_body_part(result: Dataset, spec: ModelSpec) -> None:
    """Sets the body part of a model with a single organ if the source states none."""
    organs = [label.type.value for label in spec.labels]
    if "BodyPartExamined" not in result and len(organs) == 1 and organs[0] in _BODY_PARTS:
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
    processor = _processing_item(node.manufacturer, node.model_name, local_time(header, made_at))
    processor.DeviceSerialNumber = node.serial_number
    processor.SoftwareVersions = node.software_version
    processor.DeviceUID = node.device_uid
    processor.ContributionDescription = "Automatic segmentation"
    return [*items, processor]


def _algorithm(spec: ModelSpec, local: datetime) -> Dataset:
    """Returns the model as contributing equipment (IHE AI Results, 6.5.3.1).

    Name and version are those of the Algorithm Identification in SEG and SR. The Device UID differs
    for other weights, even if they have the same version.
    """
    algorithm = _processing_item(spec.manufacturer, spec.model_id, local)
    algorithm.SoftwareVersions = spec.version
    algorithm.DeviceUID = mint_uid("algorithm", spec.model_id, spec.version, spec.weights_sha256)
    algorithm.ContributionDescription = "Algorithm"
    return algorithm


def _processing_item(manufacturer: str, model_name: str, local: datetime) -> Dataset:
    """Returns an item of the Contributing Equipment Sequence for something that processed."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [_code_item(_PROCESSING)]
    item.Manufacturer = manufacturer
    item.ManufacturerModelName = model_name
    item.ContributionDateTime = local.strftime("%Y%m%d%H%M%S.%f%z")
    return item


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
