"""Secondary Capture images: a picture as one DICOM image (PS3.3 A.8.1).

Single-frame Secondary Capture is the class of colour images that every PACS and viewer accepts.
"""

from dataclasses import dataclass
from enum import StrEnum

import highdicom as hd
import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless

from node.dicom.equipment import this_node
from node.domain.identifiers import Uid

# Measured on 512 × 512 slices of a CT of the abdomen with a drawn organ: 87 KiB per slice, against
# 211 KiB for JPEG-LS, 300 KiB for RLE and 768 KiB uncompressed; with nine organs and captions 127
# KiB, so 50 MB for 400 slices. JPEG 2000 transforms the colours, so that grey pixels cost little.
# `transcoding.uncompressed` is the form for a peer that does not accept it.
CAPTURE_TRANSFER_SYNTAX = JPEG2000Lossless

# Body Part Examined of the trunk and of single organs (PS3.16 Annex L).
_UNPAIRED_BODY_PARTS = frozenset(
    {
        "ABDOMEN",
        "ABDOMENPELVIS",
        "AORTA",
        "BLADDER",
        "CHEST",
        "CHESTABDOMEN",
        "CHESTABDPELVIS",
        "GALLBLADDER",
        "HEAD",
        "HEART",
        "LIVER",
        "NECK",
        "PANCREAS",
        "PELVIS",
        "PROSTATE",
        "SPLEEN",
        "STOMACH",
        "WHOLEBODY",
    }
)


class ConversionType(StrEnum):
    """How the picture came to be (PS3.3 C.8.6.1)."""

    WORKSTATION = "WSD"  # drawn into images
    SYNTHETIC = "SYN"  # drawn from data


@dataclass(frozen=True)
class CaptureIdentity:
    """Study, series and instance of a secondary capture."""

    study_instance_uid: str
    series_instance_uid: Uid
    sop_instance_uid: Uid
    series_number: int
    series_description: str
    instance_number: int


def secondary_capture(
    picture: NDArray[np.uint8], identity: CaptureIdentity, conversion: ConversionType
) -> Dataset:
    """Returns a picture (row, column, RGB) as Secondary Capture image, JPEG 2000 without loss.

    Patient, equipment and times are not set; see `result_attributes`. Texts may be burned in, but
    nothing that identifies the patient.
    """
    image = SCImage(
        pixel_array=picture,
        photometric_interpretation=hd.PhotometricInterpretationValues.YBR_RCT,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),  # required by highdicom; replaced below
        study_instance_uid=identity.study_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        series_description=identity.series_description,
        manufacturer=this_node().manufacturer,
        transfer_syntax_uid=CAPTURE_TRANSFER_SYNTAX,
    )
    image.PatientOrientation = []  # type 2C (PS3.3 C.7.6.1): empty, as a page has none
    image.ConversionType = conversion.value  # PS3.3 C.8.6.1
    image.ImageType = ["DERIVED", "SECONDARY"]  # PS3.3 C.7.6.1.1.2
    # NO: the burned-in texts do not identify the patient (PS3.3 C.7.6.1).
    image.BurnedInAnnotation = "NO"
    return image


def finish_capture(result: Dataset, header: Dataset) -> Dataset:
    """Returns the completed image with the time of the capture and the source's laterality."""
    result.DateOfSecondaryCapture = result.ContentDate  # PS3.3 C.8.6.2
    result.TimeOfSecondaryCapture = result.ContentTime
    _set_laterality(result, header)
    if "FrameOfReferenceUID" not in result:
        # Only the Frame of Reference module has it (PS3.3 C.7.4.1).
        del result.PositionReferenceIndicator
    return result


def _set_laterality(result: Dataset, header: Dataset) -> None:
    """Copies the laterality from the source.

    If the source states none, Laterality (type 2C, PS3.3 C.7.3.1) is empty: unknown. It is absent
    for a body part that is not paired.
    """
    if header.get("ImageLaterality") in ("R", "L", "U", "B"):
        result.ImageLaterality = header.ImageLaterality
    elif header.get("Laterality") in ("R", "L"):
        result.Laterality = header.Laterality
    elif result.get("BodyPartExamined") not in _UNPAIRED_BODY_PARTS:
        result.Laterality = None
