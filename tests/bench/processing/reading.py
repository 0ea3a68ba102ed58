"""Reading a CT series to Hounsfield units."""

import highdicom as hd
import numpy as np
import SimpleITK
from monai.data import MetaTensor
from monai.transforms import LoadImage

from node.dicom.ct.reader import read_series
from tests.bench.processing.work import Inputs, Work, nearest, nearest_in

# From the axes of NIfTI, in which MONAI places images.
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def by_segnode(inputs: Inputs) -> Work[hd.Volume]:
    """Reads as a job does, with every check of the series."""
    return Work(
        lambda: read_series(inputs.images).volume,
        lambda volume: nearest_in(volume, inputs.positions),
    )


def by_simpleitk(inputs: Inputs) -> Work[SimpleITK.Image]:
    """Lets GDCM sort the files and reads them."""

    def run() -> SimpleITK.Image:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(inputs.ct)))
        return reader.Execute()

    def values_of(image: SimpleITK.Image) -> np.ndarray:
        array = SimpleITK.GetArrayViewFromImage(image).T  # (column, row, slice)
        return nearest(array, affine_of(image), inputs.positions)

    return Work(run, values_of)


def by_monai(inputs: Inputs) -> Work[MetaTensor]:
    """Reads by pydicom, as `LoadImage` does without ITK."""
    load = LoadImage(reader="PydicomReader", image_only=True)

    def values_of(image: MetaTensor) -> np.ndarray:
        affine = _RAS_TO_LPS @ image.affine.numpy()
        return nearest(image.numpy(), affine, inputs.positions)

    return Work(lambda: load(inputs.ct), values_of)


def affine_of(image: SimpleITK.Image) -> np.ndarray:
    """Returns what maps the indices (x, y, z) of an image to LPS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def image_of(volume: hd.Volume) -> SimpleITK.Image:
    """Returns a volume as an image of ITK."""
    image = SimpleITK.GetImageFromArray(volume.array)
    image.SetOrigin(volume.affine[:3, 3].tolist())
    image.SetSpacing([float(s) for s in volume.spacing[::-1]])
    image.SetDirection(direction_of(volume.affine))
    return image


def direction_of(affine: np.ndarray) -> list[float]:
    """Returns the direction for ITK (row by row; x first) of an affine of (slice, row, column)."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    direction: list[float] = axes[:, ::-1].ravel().tolist()
    return direction
