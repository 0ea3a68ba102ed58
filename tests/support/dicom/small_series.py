"""Tiny DICOM series for tests of the transport, which never read the pixels."""

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from node.domain.identifiers import mint_uid

_SIZE_PX = 8  # rows and columns


def small_series(
    folder: Path,
    name: str,
    *,
    slices: int = 3,
    modality: str = "CT",
    sop_class_uid: str = CTImageStorage,
    manufacturer: str = "Scanner",
    model_name: str = "Model",
) -> list[Path]:
    """Writes the Part 10 files of a series; `name` alone determines the UIDs."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in range(slices):
        ds = Dataset()
        ds.SOPClassUID = sop_class_uid
        ds.SOPInstanceUID = mint_uid("small", name, str(index))
        ds.StudyInstanceUID = mint_uid("small-study", name)
        ds.SeriesInstanceUID = mint_uid("small-series", name)
        ds.PatientID = f"small-{name}"
        ds.PatientName = "Small^Test"
        ds.Modality = modality
        ds.Manufacturer = manufacturer
        ds.ManufacturerModelName = model_name
        ds.InstanceNumber = index + 1
        ds.ImagePositionPatient = [0, 0, 2 * index]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [1, 1]
        ds.Rows = ds.Columns = _SIZE_PX
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 1
        ds.PixelData = bytes(2 * _SIZE_PX * _SIZE_PX)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = folder / f"{name}-{index}.dcm"
        ds.save_as(file, enforce_file_format=True)
        files.append(file)
    return files
