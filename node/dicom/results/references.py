"""Clean source headers for highdicom, which hold identifiers and geometry only.

Real headers lack attributes that highdicom requires and hold values that it refuses. highdicom
therefore receives headers that are built from what the reader has verified. `context.py` copies
the patient and study attributes of the result from the real headers.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from node.dicom.ct.frames import Slice, slices_of
from node.dicom.ct.reader import CtSeries
from node.domain.errors import Rejected, RejectionReason


def _tags(*keywords: str) -> tuple[BaseTag, ...]:
    return tuple(Tag(keyword) for keyword in keywords)


# Attributes that highdicom copies or requires; empty, because `context.py` copies their values.
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
_COPIED = _tags(
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
)
_OF_SLICE = _tags("ImagePositionPatient", "PixelSpacing")
# A result that is derived from images with lossy compression declares it (PS3.3 C.7.6.1.1.5).
_LOSSY = _tags(
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def check_source_uids(source: CtSeries) -> None:
    """Checks that every source image has the UIDs that a result must reference.

    Raises:
        Rejected: an image lacks its study, series or instance UID.
    """
    for image in source.sources:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if not image.get(keyword):
                raise Rejected(
                    RejectionReason.INVALID_INSTANCE,
                    f"The images have no {keyword}, so a DICOM result cannot be tied to them. "
                    "Send the original series.",
                )


def reference_images(series: CtSeries) -> list[Dataset]:
    """Returns clean headers of the source images, in the order of `series.sources`."""
    distance_mm = series.extent_mm / (series.slice_count - 1)
    if series.frame_numbers:
        return [_multi_frame(series, distance_mm)]
    common = _empty_header()
    # The same for all images, because highdicom compares them without tolerance.
    common.ImageOrientationPatient = series.sources[0].ImageOrientationPatient
    thicknesses = [source.get("SliceThickness") for source in series.sources]
    common.SliceThickness = _thickness(thicknesses, distance_mm)
    return [
        _with_elements(common, source, (*_COPIED, *_OF_SLICE, *_lossy(source)))
        for source in series.sources
    ]


def _empty_header() -> Dataset:
    header = Dataset()
    for keyword in _EMPTY:
        setattr(header, keyword, None)
    header.Modality = "CT"
    return header


def _with_elements(header: Dataset, source: Dataset, tags: Iterable[BaseTag]) -> Dataset:
    """Returns `header` with these elements of the source that it has; it shares all elements."""
    elements: dict[BaseTag, DataElement | RawDataElement] = {each.tag: each for each in header}
    elements.update({tag: source[tag] for tag in tags if tag in source})
    return Dataset(elements)


def _lossy(source: Dataset) -> tuple[BaseTag, ...]:
    return _LOSSY if all(tag in source and source[tag].value for tag in _LOSSY) else ()


def _multi_frame(series: CtSeries, distance_mm: float) -> Dataset:
    """Returns a multi-frame CT of the frames of the series, with one orientation and spacing.

    They are in the order of the frames. If the series has only some of them, they are numbered
    from 1; `series.referenced_frames` are their numbers in the source.
    """
    source, numbers = series.sources[0], sorted(series.frame_numbers)
    all_slices = list(slices_of(source))
    slices = [all_slices[number - 1] for number in numbers]
    image = _with_elements(_empty_header(), source, (*_COPIED, *_lossy(source)))
    image.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item("ImageOrientationPatient", slices[0].orientation)]
    measures = _item("PixelSpacing", slices[0].pixel_spacing_mm)
    measures.SliceThickness = _thickness(list(_frame_thicknesses(source, numbers)), distance_mm)
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_plane_position(slice_) for slice_ in slices]
    return image


def _plane_position(slice_: Slice) -> Dataset:
    frame = Dataset()
    frame.PlanePositionSequence = [_item("ImagePositionPatient", slice_.position)]
    return frame


def _item(keyword: str, values: tuple[float, ...]) -> Dataset:
    item = Dataset()
    setattr(item, keyword, list(values))
    return item


def _frame_thicknesses(source: Dataset, numbers: Sequence[int]) -> Iterator[object]:
    """Yields the SliceThickness of a multi-frame CT: the shared one, then those of the frames."""
    frames = source.PerFrameFunctionalGroupsSequence
    shared = source.get("SharedFunctionalGroupsSequence") or ()
    for group in (*shared, *(frames[number - 1] for number in numbers)):
        for measures in group.get("PixelMeasuresSequence") or ():
            yield measures.get("SliceThickness")


def _thickness(values: Sequence[object], distance_mm: float) -> float:
    """Returns the first valid thickness in mm, else the distance between slices.

    A result requires a thickness (PS3.3 C.7.6.16.2.1), whereas it may be empty in a CT.
    """
    for value in values:
        if isinstance(value, int | float) and math.isfinite(value) and value > 0:
            return float(value)
    return distance_mm
