"""Reads ground truth from NIfTI, NRRD, DICOM SEG, or one picture for each slice of the CT."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from models.data.images import is_volume, read_image


@dataclass(frozen=True)
class GroundTruth:
    """The value of each voxel (int16) and, if the file itself has them, the names of the values."""

    values: hd.Volume = field(repr=False)
    names: Mapping[int, str] = field(default_factory=dict)


def read_ground_truth(path: Path, volume: hd.Volume, image: Path) -> GroundTruth:
    """Reads labels. A SEG and pictures are placed on the grid of `volume`; other files keep theirs.

    `image` is the path of the CT: there is one picture for each of its files.

    Raises:
        OSError, ValueError: the file cannot be read, or does not fit the CT.
    """
    if path.is_dir():
        return GroundTruth(volume.with_array(_pictures(path, volume, image)))
    if is_volume(path):
        values = read_image(path)
        if not np.array_equal(values.array, np.rint(values.array)):
            raise ValueError("its values are not whole numbers, as labels are")
        return GroundTruth(values.astype(np.int16))
    return _segmentation(path, volume)


def _pictures(folder: Path, volume: hd.Volume, dicom: Path) -> NDArray[np.int16]:
    """Reads CHAOS pictures, one for each DICOM file, both in order of their names; white is liver.

    A picture belongs to the slice at the position of its DICOM file, in whichever direction the
    names run.
    """
    pictures = sorted(folder.glob("*.png"))
    files = sorted(path for path in dicom.iterdir() if path.is_file())
    if not len(pictures) == len(files) == volume.spatial_shape[0]:
        raise ValueError(
            f"there are {len(pictures)} pictures for {len(files)} files and "
            f"{volume.spatial_shape[0]} slices"
        )
    values = np.zeros(volume.spatial_shape, dtype=np.int16)  # (slice, row, column)
    for picture, file in zip(pictures, files, strict=True):
        header = dcmread(file, specific_tags=["ImagePositionPatient"])
        position = np.array([[float(mm) for mm in header.ImagePositionPatient]])
        k = round(float(volume.map_reference_to_indices(position)[0, 0]))
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert("L"))
        if pixels.shape != values.shape[1:]:
            raise ValueError(f"{picture.name} has another size than the slices")
        values[k] = pixels > 127
    return values


def _segmentation(path: Path, volume: hd.Volume) -> GroundTruth:
    """Reads a DICOM SEG: segment numbers become values; label and type code become their names."""
    segmentation = hd.seg.segread(path)
    try:
        # Raises where the frames are no volume, as on the slices of a tilted gantry.
        placed = segmentation.get_volume(
            combine_segments=True, relabel=False, allow_missing_positions=True
        )
        numbers = placed.match_geometry(volume.get_geometry(), constant_value=0)
    except RuntimeError as error:
        raise ValueError(f"the segmentation does not lie on the images' voxels: {error}") from error
    if np.count_nonzero(numbers.array) != np.count_nonzero(placed.array):
        raise ValueError("a part of the segmentation lies outside of the images")
    names = {}
    for number in segmentation.segment_numbers:
        segment = segmentation.get_segment_description(number)
        names[int(number)] = f"{segment.segment_label} | {segment.segmented_property_type.value}"
    return GroundTruth(numbers.astype(np.int16), names)
