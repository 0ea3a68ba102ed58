"""The source images as highdicom is to see them: identity and place, nothing else.

Real headers lack attributes that highdicom takes for granted and hold values that it refuses, so
it gets clean ones made from what the reader has verified. What the result says about patient and
study is copied elsewhere (`context.py`), from the real headers.
"""

import math
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from node.dicom.ct.frames import Slice, slices_of
from node.dicom.ct.reader import CtSeries

# What highdicom copies or wants to find, empty here: the context is carried separately.
_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
_COPIED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
)
# A result derived from images that were once compressed with loss says so (PS3.3 C.7.6.1.1.5).
_LOSSY = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def reference_images(series: CtSeries) -> list[Dataset]:
    """The source images in the order of `series.sources`."""
    distance_mm = series.extent_mm / (series.slice_count - 1)
    if series.frame_numbers:
        return [_multi_frame(series.sources[0], distance_mm)]
    thickness = _thickness([source.get("SliceThickness") for source in series.sources], distance_mm)
    images = []
    for source in series.sources:
        image = _image(source)
        for keyword in ("ImagePositionPatient", "PixelSpacing"):
            image[keyword] = source[keyword]
        # The same for all, as highdicom compares them without tolerance.
        image.ImageOrientationPatient = series.sources[0].ImageOrientationPatient
        image.SliceThickness = thickness
        images.append(image)
    return images


def _image(source: Dataset) -> Dataset:
    image = Dataset()
    for keyword in _EMPTY:
        setattr(image, keyword, None)
    for keyword in _COPIED:
        if keyword in source:
            image[keyword] = source[keyword]
    if all(source.get(keyword) for keyword in _LOSSY):
        for keyword in _LOSSY:
            image[keyword] = source[keyword]
    image.Modality = "CT"
    return image


def _multi_frame(source: Dataset, distance_mm: float) -> Dataset:
    """A multi-frame CT whose orientation and pixel measures are shared by all frames."""
    slices = list(slices_of(source))
    image = _image(source)
    image.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item("ImageOrientationPatient", slices[0].orientation)]
    measures = _item("PixelSpacing", slices[0].pixel_spacing_mm)
    measures.SliceThickness = _thickness(list(_frame_thicknesses(source)), distance_mm)
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_placed(slice_) for slice_ in slices]
    return image


def _placed(slice_: Slice) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = [_item("ImagePositionPatient", slice_.position)]
    return frame


def _item(keyword: str, values: tuple[float, ...]) -> Dataset:
    item = Dataset()
    setattr(item, keyword, list(values))
    return item


def _frame_thicknesses(source: Dataset) -> Iterator[object]:
    """What a multi-frame CT says of its slice thickness, shared or of its frames."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in source.get(groups) or ():
            for measures in group.get("PixelMeasuresSequence") or ():
                yield measures.get("SliceThickness")


def _thickness(said: Sequence[object], distance_mm: float) -> float:
    """The first thickness that is one, in mm; else the distance from slice to slice.

    The standard wants one in every result (PS3.3 C.7.6.16.2.1), while it may be empty in a CT.
    """
    for value in said:
        if isinstance(value, int | float) and math.isfinite(value) and value > 0:
            return float(value)
    return distance_mm
