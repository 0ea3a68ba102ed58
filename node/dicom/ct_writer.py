"""Writing of a volume in HU as a CT Image Storage series, for the demonstration and for tests.

The instances have every attribute that a CT requires (PS3.3 A.3) and a clearly fictitious patient.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from node.dicom.equipment import file_meta, this_node
from node.domain.identifiers import mint_uid

# Rescale intercept: unsigned pixels start at −1024 HU, as most scanners write them.
_INTERCEPT = -1024


@dataclass(frozen=True)
class CtDescription:
    """Patient, study and series attributes of the images; `seed` determines every UID."""

    seed: str = "phantom"
    study_seed: str | None = None  # equal for the series of one study; None: as `seed`
    patient_name: str = "PHANTOM^SEGNODE"
    patient_id: str = "SEGNODE-PHANTOM"
    accession_number: str = ""
    study_description: str = "Synthetic abdomen, no patient"
    series_description: str = "Synthetic CT of the abdomen, no patient"
    series_number: int = 1
    patient_position: str = "HFS"
    body_part: str = "ABDOMEN"
    made_at: datetime = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

    @property
    def study_instance_uid(self) -> str:
        """The Study Instance UID, determined by `study_seed`."""
        return mint_uid("ct-study", self.seed if self.study_seed is None else self.study_seed)

    @property
    def series_instance_uid(self) -> str:
        """The Series Instance UID, determined by `seed`."""
        return mint_uid("ct-series", self.seed)


def write_ct_series(
    volume: hd.Volume,
    directory: Path,
    description: CtDescription | None = None,
    *,
    seed: int | None = None,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> list[Path]:
    """Writes each slice of the volume as a CT instance `0001.dcm`, `0002.dcm`, ...

    `volume` is in HU, axes slice, row, column, in any orientation. `seed` overrides the seed of the
    description. Compressed transfer syntaxes are those that pydicom can encode here: RLE, JPEG 2000
    lossless, and JPEG-LS if its plugin is installed. Returns the paths in the order of the slices.
    """
    directory.mkdir(parents=True, exist_ok=True)
    described = CtDescription() if description is None else description
    if seed is not None:
        described = replace(described, seed=str(seed))
    paths = []
    datasets = ct_datasets(volume, described, transfer_syntax_uid=transfer_syntax_uid)
    for number, dataset in enumerate(datasets, start=1):
        path = directory / f"{number:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def ct_datasets(
    volume: hd.Volume,
    description: CtDescription,
    *,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> list[Dataset]:
    """Returns the CT instances of the volume with file meta information, in slice order."""
    syntax = UID(transfer_syntax_uid)
    datasets = []
    for number in range(volume.spatial_shape[0]):
        dataset = _instance(volume, number, description)
        dataset.file_meta = file_meta(dataset, syntax)
        if syntax.is_compressed and not syntax.is_deflated:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.compress(syntax, generate_instance_uid=False)
        datasets.append(dataset)
    return datasets


def _instance(volume: hd.Volume, number: int, description: CtDescription) -> Dataset:
    dataset = Dataset()
    _set_patient_and_study(dataset, description)
    _set_series(dataset, description)
    stored = stored_values(volume.array[number])
    _set_image_plane(dataset, volume, number)
    _set_image(dataset, number, description)
    _set_pixels(dataset, stored)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = mint_uid("ct-instance", description.seed, str(number))
    return dataset


def stored_values(hu: NDArray[np.generic]) -> NDArray[np.uint16]:
    """Converts HU (row, column) to unsigned 12-bit stored values of slope 1, clipped."""
    clipped = np.clip(np.rint(hu), _INTERCEPT, 4095 + _INTERCEPT)
    stored: NDArray[np.uint16] = (clipped - _INTERCEPT).astype(np.uint16)
    return stored


def _set_patient_and_study(dataset: Dataset, description: CtDescription) -> None:
    dataset.PatientName = description.patient_name
    dataset.PatientID = description.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = description.study_instance_uid
    dataset.StudyDate = description.made_at.strftime("%Y%m%d")
    dataset.StudyTime = description.made_at.strftime("%H%M%S")
    dataset.StudyID = "1"
    dataset.AccessionNumber = description.accession_number
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = description.study_description


def _set_series(dataset: Dataset, description: CtDescription) -> None:
    node = this_node()
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = description.series_instance_uid
    dataset.SeriesNumber = description.series_number
    dataset.SeriesDescription = description.series_description
    dataset.SeriesDate = dataset.StudyDate
    dataset.SeriesTime = dataset.StudyTime
    dataset.PatientPosition = description.patient_position
    dataset.BodyPartExamined = description.body_part
    dataset.Manufacturer = node.manufacturer
    dataset.ManufacturerModelName = f"{node.model_name} phantom"
    dataset.DeviceSerialNumber = node.serial_number
    dataset.SoftwareVersions = node.software_version


def _set_image_plane(dataset: Dataset, volume: hd.Volume, number: int) -> None:
    """Sets frame of reference and image plane (PS3.3 C.7.4.1, C.7.6.2) from the affine."""
    frame_of_reference = volume.frame_of_reference_uid
    dataset.FrameOfReferenceUID = frame_of_reference or mint_uid(
        "frame-of-reference", dataset.StudyInstanceUID
    )
    dataset.PositionReferenceIndicator = ""
    _, down, right = volume.unit_vectors()
    position = volume.map_indices_to_reference(np.array([[number, 0, 0]]))[0]
    # A decimal string holds 16 characters. 10 decimals are far more precise than any voxel size.
    dataset.ImageOrientationPatient = [_decimal(v) for v in (*right, *down)]
    dataset.ImagePositionPatient = [_decimal(v) for v in position]
    dataset.PixelSpacing = [_decimal(v) for v in volume.pixel_spacing]
    dataset.SliceThickness = _decimal(volume.spacing_between_slices)


def _decimal(value: float) -> str:
    """Returns a decimal string (DS) of at most 16 characters."""
    text = f"{value + 0.0:.10f}"[:16].rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _set_image(dataset: Dataset, number: int, description: CtDescription) -> None:
    """Sets general image, CT image and acquisition attributes without contrast (PS3.3 C.8.2.1)."""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = number + 1
    dataset.AcquisitionNumber = 1
    dataset.AcquisitionDate = dataset.StudyDate
    dataset.AcquisitionTime = dataset.StudyTime
    dataset.ContentDate = dataset.StudyDate
    dataset.ContentTime = dataset.StudyTime
    dataset.TimezoneOffsetFromUTC = description.made_at.strftime("%z")
    dataset.KVP = ""
    dataset.RescaleIntercept = str(_INTERCEPT)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter = "50"
    dataset.WindowWidth = "400"
    dataset.BurnedInAnnotation = "NO"


def _set_pixels(dataset: Dataset, stored: NDArray[np.uint16]) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
