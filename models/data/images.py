"""Volumes from NIfTI and NRRD files, with their axes as slice, row, column."""

from pathlib import Path

import highdicom as hd
import nibabel
import nrrd
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd",)
# Slices to the head, rows to the back, columns to the left, as in an axial CT of a supine patient.
_CT_AXES = "HPL"


def is_volume(path: Path) -> bool:
    """Whether the name says NIfTI or NRRD."""
    return path.name.lower().endswith((*NIFTI, *NRRD))


def stem(path: Path) -> str:
    """The name without its ending."""
    for ending in (*NIFTI[::-1], *NRRD):
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def read_image(path: Path) -> hd.Volume:
    """The file's voxels, axes slice, row, column in the order that suits them best.

    Raises:
        OSError, ValueError: it cannot be read, or is no three-dimensional image.
    """
    if not is_volume(path):
        raise ValueError("it is neither NIfTI nor NRRD")
    array, affine, convention = _nrrd(path) if path.suffix == ".nrrd" else _nifti(path)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise ValueError(f"it has {array.ndim} dimensions, not 3")
    whole = np.array_equal(array, np.rint(array)) and np.abs(array).max(initial=0) < 2**15
    volume = hd.Volume(
        array.astype(np.int16 if whole else np.float32),
        affine,
        coordinate_system="PATIENT",
        from_reference_convention=convention,
    )
    return volume.to_patient_orientation(_CT_AXES)


def _nifti(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64], str]:
    try:
        image = nibabel.load(path)
    except ImageFileError as error:
        raise ValueError(str(error)) from error
    return np.asanyarray(image.dataobj), image.affine, "RAS"


def _nrrd(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64], str]:
    try:
        array, header = nrrd.read(str(path))
    except nrrd.NRRDError as error:
        raise ValueError(str(error)) from error
    spaces = {"left-posterior-superior": "LPS", "right-anterior-superior": "RAS"}
    space = spaces.get(str(header.get("space", "")).lower())
    if space is None or "space directions" not in header:
        raise ValueError("it does not say how it lies in the patient (space, space directions)")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["space directions"], dtype=float)[-3:].T
    affine[:3, 3] = header["space origin"]
    return array, affine, space
