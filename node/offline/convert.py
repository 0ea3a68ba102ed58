"""Conversion between DICOM and NIfTI with exact geometry: CT series and labelled data sets."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np

from models.data import DataSet, InvalidDataset, ReadSeries
from models.data.case import load_ground_truth, load_image
from models.data.images import read_image
from node.dicom.ct.files import find_dicom_files
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.dicom.nifti_files import write_volume
from node.domain.errors import Rejected, RejectionReason

# The images store unsigned 16-bit values that start at this value.
_MIN_HU = -1024
# The images name no patient and state that they were converted.
_CONVERTED = CtDescription(
    patient_name="CONVERTED^CT",
    patient_id="CONVERTED-CT",
    study_description="Converted from NIfTI or NRRD",
    series_description="Converted from NIfTI or NRRD",
    body_part="",
)
# Of NIfTI files.
_DESCRIPTION = "Converted by segnode"
# Column, row, slice: the usual axis order of NIfTI.
_NIFTI_AXES = (2, 1, 0)


def read_ct_folder(folder: Path) -> hd.Volume:
    """Reads a folder of DICOM CT in HU, for the data layouts that hold DICOM.

    Raises:
        ValueError: the folder does not hold one readable CT series.
    """
    try:
        return read_series(find_dicom_files([folder])).volume
    except Rejected as error:
        raise ValueError(str(error)) from error


def to_nifti(volume: hd.Volume, path: Path) -> None:
    """Writes a volume (axes slice, row, column) as NIfTI; every voxel keeps its position."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = volume.array
    numeric = volume if array.dtype != np.bool_ else volume.astype(np.uint8)
    write_volume(numeric.permute_spatial_axes(_NIFTI_AXES), path, _DESCRIPTION)


def series_to_nifti(source: Path, output: Path) -> hd.Volume:
    """Converts a DICOM CT series to NIfTI in HU and returns the volume.

    Raises:
        Rejected: `source` is not one readable CT series.
    """
    volume = read_series(find_dicom_files([source])).volume
    to_nifti(volume, output)
    return volume


def nifti_to_series(source: Path, folder: Path) -> int:
    """Converts a CT in NIfTI or NRRD to DICOM CT images on the same grid; returns their number.

    The images name no patient. Their UIDs depend only on the content of the file.

    Raises:
        Rejected: the file cannot be read, or the folder is not empty.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise Rejected(RejectionReason.INVALID_INSTANCE, f"{folder} is not empty; give another.")
    try:
        volume = read_image(source)
    except (OSError, ValueError) as error:
        raise Rejected(
            RejectionReason.UNREADABLE, f"{source.name} cannot be read as a CT: {error}"
        ) from error
    rounded = np.rint(volume.array).clip(_MIN_HU, None).astype(np.int16)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return len(
        write_ct_series(volume.with_array(rounded), folder, replace(_CONVERTED, seed=digest))
    )


def dataset_to_pairs(
    dataset: DataSet, output: Path, read: ReadSeries | None = None
) -> Iterator[tuple[str, str]]:
    """Writes every labelled case as `NAME.nii.gz` and `NAME_seg.nii.gz`.

    Yields the name of each case and its problem, empty if the case was written. A case that cannot
    be read is skipped.
    """
    for case in dataset.cases:
        name = case.name.replace("/", "_")
        try:
            volume = load_image(case, read)
            truth = load_ground_truth(case, volume)
        except InvalidDataset as error:
            yield name, str(error)
            continue
        to_nifti(volume, output / f"{name}.nii.gz")
        to_nifti(truth.values.astype(np.uint8), output / f"{name}_seg.nii.gz")
        yield name, ""
