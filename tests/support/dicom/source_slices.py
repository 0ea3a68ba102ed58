"""The true liver on the source slices of a series of the body, and a SEG's frames on them."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.dicom.ct.reader import CtSeries
from tests.support.dicom.body import in_liver, voxel_positions


def plane(source: Dataset) -> hd.VolumeGeometry:
    """Returns the grid of one slice, from its own header."""
    row, column = (np.array(source.ImageOrientationPatient[i : i + 3]) for i in (0, 3))
    between_rows, between_columns = source.PixelSpacing
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column)
    affine[:3, 1], affine[:3, 2] = column * between_rows, row * between_columns
    affine[:3, 3] = source.ImagePositionPatient
    return hd.VolumeGeometry(affine, (1, source.Rows, source.Columns), coordinate_system="PATIENT")


def liver_on_source_slices(series: CtSeries) -> NDArray[np.bool_]:
    """Returns whether each pixel of the source slices lies in the liver, (slice, row, column)."""
    return np.stack([in_liver(voxel_positions(plane(source)))[0] for source in series.sources])


def segment_on_source_slices(seg: Dataset, series: CtSeries) -> NDArray[np.bool_]:
    """Returns the pixels of the first segment by their source image, (slice, row, column).

    Checks that each frame has the position and orientation of its source image.
    """
    decoded = hd.seg.Segmentation.from_dataset(seg)
    frames = []
    by_uid = {source.SOPInstanceUID: source for source in series.sources}
    orientation = seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    for groups in seg.PerFrameFunctionalGroupsSequence:
        derivation = groups.DerivationImageSequence[0].SourceImageSequence[0]
        source = by_uid[derivation.ReferencedSOPInstanceUID]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        assert position == source.ImagePositionPatient
        assert orientation.ImageOrientationPatient == source.ImageOrientationPatient
    for source in series.sources:
        pixels = decoded.get_pixels_by_source_instance(
            [source.SOPInstanceUID],
            ignore_spatial_locations=True,
            assert_missing_frames_are_empty=True,
        )
        frames.append(pixels[0, ..., 0] > 0)
    return np.stack(frames)
