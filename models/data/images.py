"""Reads volumes from NIfTI and NRRD files; refuses files without an unambiguous orientation."""

from pathlib import Path

import highdicom as hd
import nibabel
import nrrd
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd",)
# The axis order that the models expect: slices toward the head, rows toward the back, columns
# toward the left, as in an axial CT of a supine patient.
_CT_AXES = "HPL"
# Replaces NaN, which marks voxels outside the field of view: they count as air.
_AIR_HU = -1024.0
_MAX_INT16 = 32767
# NIfTI's sform and qform may differ by rounding: a fraction of a voxel.
_PLACEMENT_TOLERANCE = 0.05
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}

Affine = NDArray[np.float64]


def is_nifti(path: Path) -> bool:
    """Whether the file name has an ending of NIfTI."""
    return path.name.lower().endswith(NIFTI)


def is_volume(path: Path) -> bool:
    """Whether the file name has an ending of NIfTI or NRRD."""
    return path.name.lower().endswith((*NIFTI, *NRRD))


def stem(path: Path) -> str:
    """Returns the file name without its ending (`.nii.gz` is one)."""
    for ending in (*NIFTI[::-1], *NRRD):
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def read_image(path: Path) -> hd.Volume:
    """Reads the voxels with axes slice, row, column; see `to_ct_axes`.

    Raises:
        OSError, ValueError: see `read_volume`.
    """
    return to_ct_axes(read_volume(path))


def to_ct_axes(volume: hd.Volume) -> hd.Volume:
    """Reorders the axes to slice, row, column, without resampling.

    The axis nearest to head-foot becomes the slice axis.
    """
    return volume.to_patient_orientation(_CT_AXES)


def read_volume(path: Path) -> hd.Volume:
    """Reads the voxels with the axes of the file; int16 if all values are whole, else float32.

    Raises:
        OSError, ValueError: the file cannot be read, is not a three-dimensional image with one
            value for each voxel, or its orientation in the patient is missing or ambiguous.
    """
    if not is_volume(path):
        raise ValueError("it is neither NIfTI nor NRRD")
    array, affine, convention = _nrrd(path) if path.suffix == ".nrrd" else _nifti(path)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"it is not a volume with one number for each voxel (its shape is {array.shape}, "
            f"its type {array.dtype})"
        )
    return hd.Volume(
        _compact(array), affine, coordinate_system="PATIENT", from_reference_convention=convention
    )


def _compact(array: NDArray[np.generic]) -> NDArray[np.int16] | NDArray[np.float32]:
    """Replaces NaN and infinity, and converts whole numbers to int16."""
    wide = np.asarray(array, dtype=np.float32)
    if not np.isfinite(wide).all():
        wide = np.nan_to_num(wide, nan=_AIR_HU, posinf=_MAX_INT16, neginf=_AIR_HU)
    if np.array_equal(wide, np.rint(wide)) and np.abs(wide).max(initial=0) <= _MAX_INT16:
        return wide.astype(np.int16)
    return wide


def _nifti(path: Path) -> tuple[NDArray[np.generic], Affine, str]:
    try:
        image = nibabel.load(path)
    except ImageFileError as error:
        raise ValueError(str(error)) from error
    header = image.header
    sform, sform_code = header.get_sform(coded=True)
    qform, qform_code = header.get_qform(coded=True)
    if not sform_code and not qform_code:
        raise ValueError(
            "it has no orientation in the patient (neither sform nor qform is set); "
            "convert it again from the original images"
        )
    if sform_code and qform_code and not _agree(sform, qform):
        raise ValueError(
            "it has two orientations in the patient that differ (sform and qform); "
            "convert it again from the original images"
        )
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    return np.asanyarray(image.dataobj), affine, "RAS"


def _agree(sform: Affine, qform: Affine) -> bool:
    """Whether both have the same axis directions and spacing, within `_PLACEMENT_TOLERANCE`."""
    step = np.linalg.norm(qform[:3, :3], axis=0).min()
    difference = np.abs(sform[:3, :3] - qform[:3, :3]).max()
    return bool(difference <= _PLACEMENT_TOLERANCE * step)


def _nrrd(path: Path) -> tuple[NDArray[np.generic], Affine, str]:
    try:
        array, header = nrrd.read(str(path))
    except nrrd.NRRDError as error:
        raise ValueError(str(error)) from error
    spaces = {"left-posterior-superior": "LPS", "right-anterior-superior": "RAS"}
    space = spaces.get(str(header.get("space", "")).lower())
    if space is None or "space directions" not in header:
        raise ValueError("it has no orientation in the patient (space, space directions)")
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(header["space directions"], dtype=float)[-3:].T
    affine[:3, 3] = header["space origin"]
    return array, affine, space
