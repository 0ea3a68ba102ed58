"""The DICOM JSON model (PS3.18 F)."""

from typing import Any

from pydicom import Dataset

DICOM_JSON = "application/dicom+json"
_SPECIFIC_CHARACTER_SET = "00080005"


def dataset_to_json(dataset: Dataset) -> dict[str, Any]:
    """Returns the data set in the DICOM JSON model, without attributes that cannot be encoded."""
    encoded: dict[str, Any] = dataset.to_json_dict(suppress_invalid_tags=True)
    if _SPECIFIC_CHARACTER_SET in encoded:  # JSON is UTF-8, whatever the file's character set is
        encoded[_SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return encoded
