"""Labels from NIfTI, NRRD, DICOM SEG, or one picture for each slice, on the grid of their CT."""

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
class Truth:
    """Labels by voxel (int16) and, where the file says so itself, what they stand for."""

    values: hd.Volume = field(repr=False)
    names: Mapping[int, str] = field(default_factory=dict)


def read_truth(path: Path, volume: hd.Volume, image: Path) -> Truth:
    """The labels; a SEG and pictures are put onto the grid of `volume`, files keep their own.

    `image` is where the volume was read from: pictures belong to its files, one to one.

    Raises:
        OSError, ValueError: it cannot be read, or does not fit the CT.
    """
    if path.is_dir():
        return Truth(volume.with_array(_pictures(path, volume, image)))
    if is_volume(path):
        values = read_image(path)
        if not np.array_equal(values.array, np.rint(values.array)):
            raise ValueError("its values are no labels: they are not whole numbers")
        return Truth(values.astype(np.int16))
    return _segmentation(path, volume)


def _pictures(folder: Path, volume: hd.Volume, dicom: Path) -> NDArray[np.int16]:
    """CHAOS: one picture for each DICOM file, both in the order of their names; white is liver.

    A picture belongs to the slice at its DICOM file's position, whatever way the names run.
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
        place = np.array([[float(mm) for mm in header.ImagePositionPatient]])
        k = round(float(volume.map_reference_to_indices(place)[0, 0]))
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert("L"))
        if pixels.shape != values.shape[1:]:
            raise ValueError(f"{picture.name} has another size than the slices")
        values[k] = pixels > 127
    return values


def _segmentation(path: Path, volume: hd.Volume) -> Truth:
    """A DICOM SEG; its segment numbers are the values, and name and code what they stand for."""
    segmentation = hd.seg.segread(path)
    placed = segmentation.get_volume(
        combine_segments=True, relabel=False, allow_missing_positions=True
    )
    try:
        numbers = placed.match_geometry(volume.get_geometry(), constant_value=0)
    except RuntimeError as error:
        raise ValueError(f"the segmentation does not lie on the images' voxels: {error}") from error
    if np.count_nonzero(numbers.array) != np.count_nonzero(placed.array):
        raise ValueError("a part of the segmentation lies outside of the images")
    names = {}
    for number in segmentation.segment_numbers:
        segment = segmentation.get_segment_description(number)
        names[int(number)] = f"{segment.segment_label} | {segment.segmented_property_type.value}"
    return Truth(numbers.astype(np.int16), names)
