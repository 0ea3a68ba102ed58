"""The items of a sequence are, byte for byte, those that pydicom writes."""

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.valuerep import DSfloat

from node.dicom.results.frames.item_encoding import ItemEncoder, sequence_of

LATIN_1 = ["latin_1"]
SEQUENCE = Tag("DerivationImageSequence")


def code(meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = "113076"
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def groups(meaning: str, numbers: list[int], position: list[object]) -> Dataset:
    item, source = Dataset(), Dataset()
    source.ReferencedSOPInstanceUID = "1.2.3.45"
    source.ReferencedFrameNumber = numbers
    source.PurposeOfReferenceCodeSequence = [code(meaning)]
    item.SourceImageSequence = [source]
    item.DerivationCodeSequence = [code("Segmentation"), code(meaning)]
    item.DimensionIndexValues = numbers
    item.ImagePositionPatient = position
    item.ImageType = ["DERIVED", "PRIMARY"]
    item.PatientID = None
    item.PatientComments = meaning
    item.VisualAcuityMeasurementSequence = []
    return item


def by_pydicom(items: list[Dataset]) -> bytes:
    dataset = Dataset()
    dataset.add_new(SEQUENCE, "SQ", items)
    buffer = BytesIO()
    file = DicomIO(buffer)
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset, LATIN_1)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "items",
    [
        [],
        [Dataset()],
        [groups("Leber", [1, 400], [-1.5, 2, 1e-7]), groups("Leber", [2], [0, 0, 0])],
        [groups("Übersicht", [65536, 7, 9], [1, 2, 3]), groups("", [], [])],
    ],
    ids=["no-item", "empty-item", "repeated-values", "other-characters"],
)
def test_items_are_those_of_pydicom(items: list[Dataset]) -> None:
    encoder = ItemEncoder(LATIN_1)
    assert sequence_of(SEQUENCE, map(encoder.item, items)) == by_pydicom(items)


def test_equal_numbers_that_are_written_in_different_ways_stay_different() -> None:
    items = [groups("Leber", [1], [DSfloat(text), 0, 0]) for text in ("1", "1.0", "1.00", "1e0")]
    encoder = ItemEncoder(LATIN_1)
    assert sequence_of(SEQUENCE, map(encoder.item, items)) == by_pydicom(items)


def test_the_same_text_in_elements_of_different_tags_is_not_mixed_up() -> None:
    item = Dataset()
    item.CodeValue = item.CodingSchemeDesignator = item.LongCodeValue = item.CodeMeaning = "DCM"
    encoder = ItemEncoder(LATIN_1)
    assert sequence_of(SEQUENCE, [encoder.item(item)]) == by_pydicom([item])
