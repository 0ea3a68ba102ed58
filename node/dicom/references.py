"""The source images as highdicom is to see them: identity and place, nothing else.

Real headers lack attributes that highdicom takes for granted and hold values that it refuses, so
it gets clean ones made from what the reader has verified. What the result says about patient and
study is copied elsewhere (`context.py`), from the real headers.
"""

from pydicom.dataset import Dataset

from node.dicom.frames import Slice, slices_of
from node.dicom.read import CtSeries

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
    # A result derived from images that were once compressed with loss says so (PS3.3 C.7.6.1.1.5).
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def reference_images(series: CtSeries) -> list[Dataset]:
    """The source images in the order of `series.sources`."""
    if series.frame_numbers:
        return [_multi_frame(series.sources[0])]
    images = []
    for source in series.sources:
        image = _image(source)
        for keyword in ("ImagePositionPatient", "PixelSpacing"):
            image[keyword] = source[keyword]
        # The same for all, as highdicom compares them without tolerance.
        image.ImageOrientationPatient = series.sources[0].ImageOrientationPatient
        image.SliceThickness = source.get("SliceThickness")
        images.append(image)
    return images


def _image(source: Dataset) -> Dataset:
    image = Dataset()
    for keyword in _EMPTY:
        setattr(image, keyword, None)
    for keyword in _COPIED:
        if keyword in source:
            image[keyword] = source[keyword]
    image.Modality = "CT"
    return image


def _multi_frame(source: Dataset) -> Dataset:
    """A multi-frame CT whose orientation and pixel measures are shared by all frames."""
    slices = list(slices_of(source))
    image = _image(source)
    image.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item("ImageOrientationPatient", slices[0].orientation)]
    measures = _item("PixelSpacing", slices[0].pixel_spacing_mm)
    thickness = _thickness(source)
    if thickness is not None:
        measures.SliceThickness = thickness
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


def _thickness(source: Dataset) -> object:
    """The slice thickness of the first frame, in mm; None where it is not said."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        measures = source.get(groups)[0].get("PixelMeasuresSequence") if source.get(groups) else ()
        if measures and measures[0].get("SliceThickness") is not None:
            value: object = measures[0].SliceThickness
            return value
    return None
