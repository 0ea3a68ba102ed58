"""Data sets in the DICOM JSON model, whatever is wrong with single values."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydicom import DataElement, Dataset
from pydicom.config import settings
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from node.web.dicomweb.data_set_models import dataset_to_json, metadata_to_json

_POSITION = Tag("ImagePositionPatient")
_THICKNESS = Tag("SliceThickness")


def _with_text(tag: int, text: bytes) -> Dataset:
    """A data set as it is read from a file, with one element and a patient's name."""
    dataset = Dataset()
    dataset.PatientName = "DOE^JANE"
    dataset[tag] = RawDataElement(Tag(tag), "DS", len(text), text, 0, False, True)
    return dataset


def test_a_value_that_is_longer_than_the_standard_allows_is_kept() -> None:
    text = b"-123.45678901234567\\0\\10"
    encoded = dataset_to_json(_with_text(_POSITION, text))
    assert encoded[f"{_POSITION:08X}"]["Value"] == [-123.45678901234567, 0, 10]


def test_an_attribute_that_cannot_be_encoded_is_left_out_alone() -> None:
    dataset = _with_text(_THICKNESS, b"thin")
    for encoded in (dataset_to_json(dataset), metadata_to_json(dataset, "https://node/bulk")):
        assert encoded == {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE^JANE"}]}}


def test_requests_at_the_same_time_leave_pydicom_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mode, both_encode = settings.reading_validation_mode, threading.Barrier(2, timeout=60)
    encode, modes = DataElement.to_json_dict, set[int]()

    def together(element: DataElement, *arguments: Any, **options: Any) -> object:
        both_encode.wait()
        modes.add(settings.reading_validation_mode)
        return encode(element, *arguments, **options)

    monkeypatch.setattr(DataElement, "to_json_dict", together)
    datasets = [_with_text(_POSITION, b"0\\0\\0") for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        for encoded in threads.map(dataset_to_json, datasets):
            assert len(encoded) == 2
    assert modes | {settings.reading_validation_mode} == {mode}
