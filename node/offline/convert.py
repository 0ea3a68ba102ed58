"""Between DICOM and NIfTI with the geometry kept: CT series, and whole labelled data sets."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np

from models.data import DataSet, InvalidDataset, ReadSeries
from models.data.case import case_image, case_truth
from models.data.images import read_image
from node.dicom.ct.files import dicom_files
from node.dicom.ct.reader import read_series
from node.dicom.ct_writer import CtDescription, write_ct_series
from node.domain.errors import Rejected, RejectionReason

# Stored as 16 bits without sign, from this value on.
_LOWEST_HU = -1024
# What the images say of themselves: no patient, and how they came about.
_CONVERTED = CtDescription(
    patient_name="CONVERTED^CT",
    patient_id="CONVERTED-CT",
    study_description="Converted from NIfTI or NRRD",
    series_description="Converted from NIfTI or NRRD",
    body_part="",
)
# Column, row, slice: how NIfTI is usually laid out.
_NIFTI_AXES = (2, 1, 0)


def read_ct(folder: Path) -> hd.Volume:
    """A folder of DICOM CT in HU, for the data layouts that hold DICOM.

    Raises:
        ValueError: it is not a CT that can be read; says why.
    """
    try:
        return read_series(dicom_files([folder])).volume
    except Rejected as error:
        raise ValueError(str(error)) from error


def to_nifti(volume: hd.Volume, path: Path) -> None:
    """Write a volume (axes slice, row, column) as NIfTI; every voxel keeps its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = volume.array
    kept = volume if array.dtype != np.bool_ else volume.astype(np.uint8)
    nibabel.save(kept.permute_spatial_axes(_NIFTI_AXES).to_nibabel(), path)


def series_to_nifti(source: Path, output: Path) -> hd.Volume:
    """A DICOM CT series as NIfTI in HU.

    Raises:
        Rejected: it is no CT series that can be read.
    """
    volume = read_series(dicom_files([source])).volume
    to_nifti(volume, output)
    return volume


def nifti_to_series(source: Path, folder: Path) -> int:
    """A CT in NIfTI or NRRD as DICOM CT images on the same grid; how many were written.

    The images have identifiers of their own, the same each time, and name no patient.

    Raises:
        Rejected: it cannot be read, or the folder is not empty.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise Rejected(RejectionReason.INVALID_INSTANCE, f"{folder} is not empty; give another.")
    try:
        volume = read_image(source)
    except (OSError, ValueError) as error:
        raise Rejected(
            RejectionReason.UNREADABLE, f"{source.name} cannot be read as a CT: {error}"
        ) from error
    rounded = np.rint(volume.array).clip(_LOWEST_HU, None).astype(np.int16)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return len(
        write_ct_series(volume.with_array(rounded), folder, replace(_CONVERTED, seed=digest))
    )


def dataset_to_pairs(
    dataset: DataSet, output: Path, read: ReadSeries | None = None
) -> Iterator[tuple[str, str]]:
    """Every labelled case as `NAME.nii.gz` and `NAME_seg.nii.gz`; yields names and problems.

    A case that cannot be read is passed over, and its problem told; the others are written.
    """
    for case in dataset.cases:
        name = case.name.replace("/", "_")
        try:
            volume = case_image(case, read)
            truth = case_truth(case, volume)
        except InvalidDataset as error:
            yield name, str(error)
            continue
        to_nifti(volume, output / f"{name}.nii.gz")
        to_nifti(truth.values.astype(np.uint8), output / f"{name}_seg.nii.gz")
        yield name, ""
