"""A volume in HU to a proper CT Image Storage series: for the demonstration and for tests.

Everything a CT must say (PS3.3 A.3) is said, and the patient is plainly made up.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from node.dicom.equipment import this_node
from node.domain.identifiers import mint_uid

# The stored value of 0 HU: unsigned pixels from −1024 HU, as most scanners write them.
_INTERCEPT = -1024


@dataclass(frozen=True)
class CtDescription:
    """Who and what the series claims to be. `seed` decides every UID of it."""

    seed: str = "phantom"
    study_seed: str | None = None  # series of one study share it; None: the series' own
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
    def study_uid(self) -> str:
        """The study's UID."""
        return mint_uid("ct-study", self.seed if self.study_seed is None else self.study_seed)

    @property
    def series_uid(self) -> str:
        """The series' UID."""
        return mint_uid("ct-series", self.seed)


def write_ct_series(
    volume: hd.Volume,
    directory: Path,
    description: CtDescription | None = None,
    *,
    seed: int | None = None,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
) -> list[Path]:
    """Write each slice of the volume as a CT instance `0001.dcm`, `0002.dcm`, ... and name them.

    `volume`: HU, axes slice, row, column, any orientation. `seed`, where given, decides all UIDs in
    place of the description's. Compressed transfer syntaxes are those
    that pydicom can encode here: RLE, JPEG 2000 lossless, JPEG-LS where its plugin is installed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    said = CtDescription() if description is None else description
    if seed is not None:
        said = replace(said, seed=str(seed))
    paths = []
    datasets = ct_datasets(volume, said, transfer_syntax_uid=transfer_syntax_uid)
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
    """The CT instances of the volume, with file meta information, in the order of its slices."""
    syntax = UID(transfer_syntax_uid)
    datasets = []
    for number in range(volume.spatial_shape[0]):
        dataset = _instance(volume, number, description)
        dataset.file_meta = _file_meta(dataset, syntax)
        if syntax.is_compressed and not syntax.is_deflated:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.compress(syntax, generate_instance_uid=False)
        datasets.append(dataset)
    return datasets


def _instance(volume: hd.Volume, number: int, description: CtDescription) -> Dataset:
    dataset = Dataset()
    _say_patient_and_study(dataset, description)
    _say_series(dataset, description)
    stored = stored_values(volume.array[number])
    _say_place(dataset, volume, number)
    _say_image(dataset, number, description)
    _say_pixels(dataset, stored)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = mint_uid("ct-instance", description.seed, str(number))
    return dataset


def stored_values(hu: NDArray[np.generic]) -> NDArray[np.uint16]:
    """HU (row, column) as unsigned stored values of slope 1, clipped to the 12-bit scale."""
    clipped = np.clip(np.rint(hu), _INTERCEPT, 4095 + _INTERCEPT)
    stored: NDArray[np.uint16] = (clipped - _INTERCEPT).astype(np.uint16)
    return stored


def _say_patient_and_study(dataset: Dataset, description: CtDescription) -> None:
    dataset.PatientName = description.patient_name
    dataset.PatientID = description.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = description.study_uid
    dataset.StudyDate = description.made_at.strftime("%Y%m%d")
    dataset.StudyTime = description.made_at.strftime("%H%M%S")
    dataset.StudyID = "1"
    dataset.AccessionNumber = description.accession_number
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = description.study_description


def _say_series(dataset: Dataset, description: CtDescription) -> None:
    node = this_node()
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = description.series_uid
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


def _say_place(dataset: Dataset, volume: hd.Volume, number: int) -> None:
    """Frame of reference and image plane (PS3.3 C.7.4.1, C.7.6.2) by the volume's affine."""
    frame_of_reference = volume.frame_of_reference_uid
    dataset.FrameOfReferenceUID = frame_of_reference or mint_uid(
        "frame-of-reference", dataset.StudyInstanceUID
    )
    dataset.PositionReferenceIndicator = ""
    _, down, right = volume.unit_vectors()
    position = volume.map_indices_to_reference(np.array([[number, 0, 0]]))[0]
    # Decimal strings hold 16 characters: 10 decimals are exact far beyond any voxel.
    dataset.ImageOrientationPatient = [_decimal(v) for v in (*right, *down)]
    dataset.ImagePositionPatient = [_decimal(v) for v in position]
    dataset.PixelSpacing = [_decimal(v) for v in volume.pixel_spacing]
    dataset.SliceThickness = _decimal(volume.spacing_between_slices)


def _decimal(value: float) -> str:
    """A decimal string (DS) of at most 16 characters."""
    text = f"{value + 0.0:.10f}"[:16].rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _say_image(dataset: Dataset, number: int, description: CtDescription) -> None:
    """General image, contrast-free CT image and acquisition attributes (PS3.3 C.8.2.1)."""
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


def _say_pixels(dataset: Dataset, stored: NDArray[np.uint16]) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"


def _file_meta(dataset: Dataset, syntax: UID) -> FileMetaDataset:
    node = this_node()
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom writes the true one where it is present
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(node.implementation_class_uid)
    meta.ImplementationVersionName = node.implementation_version_name
    return meta
