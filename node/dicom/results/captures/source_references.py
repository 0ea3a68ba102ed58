"""References of pictures and documents to the source instances."""

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

# Derived images from lossy ones declare it (PS3.3 C.7.6.1.1.5).
_LOSSY_DETAILS = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")


def instance_reference(image: Dataset) -> Dataset:
    """Returns the SOP Instance Reference macro (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    return item


def source_image(
    image: Dataset, *, frame_numbers: Sequence[int] = (), same_location: bool = False
) -> Dataset:
    """Returns an item of Source Image Sequence (PS3.3 C.12.4.1.1).

    Without frame numbers, it references every frame. `same_location` means that the derived image
    shows the same place pixel by pixel.
    """
    item = instance_reference(image)
    if frame_numbers:
        item.ReferencedFrameNumber = list(frame_numbers)
    purpose = Dataset()  # PS3.16 CID 7202
    purpose.CodeValue = "121322"
    purpose.CodingSchemeDesignator = "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    item.PurposeOfReferenceCodeSequence = [purpose]
    item.SpatialLocationsPreserved = "YES" if same_location else "NO"
    return item


def referenced_series(images: Iterable[Dataset]) -> list[Dataset]:
    """Returns Referenced Series Sequence (PS3.3 C.12.2): one item per series of the images."""
    by_series: dict[str, list[Dataset]] = {}
    for image in images:
        by_series.setdefault(str(image.SeriesInstanceUID), []).append(instance_reference(image))
    items = []
    for uid, references in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        item.ReferencedInstanceSequence = references
        items.append(item)
    return items


def set_lossy_compression(result: Dataset, images: Sequence[Dataset]) -> None:
    """Declares lossy compression if one of the source images was compressed with loss."""
    lossy = [image for image in images if image.get("LossyImageCompression") == "01"]
    if not lossy:
        return
    result.LossyImageCompression = "01"
    for keyword in _LOSSY_DETAILS:
        if lossy[0].get(keyword):
            result[keyword] = lossy[0][keyword]
