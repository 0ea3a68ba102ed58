"""Tiny DICOM series for tests that look at the transport and never at the picture."""

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from node.domain.identifiers import mint_uid

_SIZE = 8  # pixels a side


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
    """Part 10 files of a series; the same `name` gives the same UIDs whatever the slices."""
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
        ds.Rows = ds.Columns = _SIZE
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 1
        ds.PixelData = bytes(2 * _SIZE * _SIZE)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = folder / f"{name}-{index}.dcm"
        ds.save_as(file, enforce_file_format=True)
        files.append(file)
    return files
