"""Volumes from NIfTI and NRRD files; what does not say how it lies in the patient is refused."""

from pathlib import Path

import highdicom as hd
import nibabel
import nrrd
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd",)
# The order of axes that the models expect: slices to the head, rows to the back, columns to the
# left, as in an axial CT of a supine patient.
_CT_AXES = "HPL"
# Where a value is not a number there was no measurement: outside the field of view, as air.
_AIR_HU = -1024.0
_LARGEST = 32767
# The two placements that NIfTI can give may differ by rounding: a share of a voxel.
_PLACEMENT_TOLERANCE = 0.05
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}

Affine = NDArray[np.float64]


def is_nifti(path: Path) -> bool:
    """Whether the name says NIfTI."""
    return path.name.lower().endswith(NIFTI)


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
        OSError, ValueError: see `read_volume`.
    """
    return to_ct_axes(read_volume(path))


def to_ct_axes(volume: hd.Volume) -> hd.Volume:
    """The same voxels with axes slice, row, column, in the order that suits its orientation best.

    Slices are taken to be the axis nearest to head-foot.
    """
    return volume.to_patient_orientation(_CT_AXES)


def read_volume(path: Path) -> hd.Volume:
    """The file's voxels with its own axes; 16-bit integers where its values are whole numbers.

    Raises:
        OSError, ValueError: it cannot be read, is no three-dimensional image of one value by
            voxel, or does not say without doubt how it lies in the patient.
    """
    if not is_volume(path):
        raise ValueError("it is neither NIfTI nor NRRD")
    array, affine, convention = _nrrd(path) if path.suffix == ".nrrd" else _nifti(path)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"it is no volume of one number by voxel (its shape is {array.shape}, its type "
            f"{array.dtype})"
        )
    return hd.Volume(
        _plain(array), affine, coordinate_system="PATIENT", from_reference_convention=convention
    )


def _plain(array: NDArray[np.generic]) -> NDArray[np.int16] | NDArray[np.float32]:
    """Numbers only, in 16-bit integers where they are whole."""
    wide = np.asarray(array, dtype=np.float32)
    if not np.isfinite(wide).all():
        wide = np.nan_to_num(wide, nan=_AIR_HU, posinf=_LARGEST, neginf=_AIR_HU)
    if np.array_equal(wide, np.rint(wide)) and np.abs(wide).max(initial=0) <= _LARGEST:
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
            "it does not say how it lies in the patient (neither sform nor qform is set); "
            "convert it anew from the original images"
        )
    if sform_code and qform_code and not _agree(sform, qform):
        raise ValueError(
            "it says in two ways how it lies in the patient, and they differ (sform and qform); "
            "convert it anew from the original images"
        )
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    return np.asanyarray(image.dataobj), affine, "RAS"


def _agree(sform: Affine, qform: Affine) -> bool:
    """Whether both put every axis the same way, with the same steps."""
    step = np.linalg.norm(qform[:3, :3], axis=0).min()
    apart = np.abs(sform[:3, :3] - qform[:3, :3]).max()
    return bool(apart <= _PLACEMENT_TOLERANCE * step)


def _nrrd(path: Path) -> tuple[NDArray[np.generic], Affine, str]:
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
