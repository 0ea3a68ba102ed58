"""Data sets in the DICOM JSON Model (PS3.18 F) and in the Native DICOM Model (PS3.19 A.1)."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import structlog
from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag

from node.web.dicomweb.bulk_data import MIN_BYTES, PIXEL_DATA, paths_of

_LOG = structlog.get_logger()
DICOM_JSON = "application/dicom+json"
_SPECIFIC_CHARACTER_SET = "00080005"
DICOM_XML = "application/dicom+xml"
_NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
# Characters that XML 1.0 cannot represent, not even as a reference.
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def dataset_to_json(dataset: Dataset) -> dict[str, Any]:
    """Returns the data set in the DICOM JSON model, without attributes that cannot be encoded."""
    return _in_utf_8(_encoded(dataset))


def metadata_to_json(dataset: Dataset, bulk_data_url: str) -> dict[str, Any]:
    """Returns metadata in the DICOM JSON model: large binary values and pixels as BulkDataURI.

    `dataset` is a header without pixel data. `bulk_data_url` is the URL of its bulk data, to which
    the path of a value is added.
    """
    # pydicom asks for the URL of an element without saying in which sequence it is.
    paths = {id(element): path for element, path in paths_of(dataset)}

    def url_of(element: DataElement) -> str:
        return f"{bulk_data_url}/{paths[id(element)]}"

    encoded = _encoded(dataset, url_of)
    if "Rows" in dataset and "BitsAllocated" in dataset:
        encoded[PIXEL_DATA] = {"vr": "OW", "BulkDataURI": f"{bulk_data_url}/{PIXEL_DATA}"}
    return _in_utf_8(encoded)


def _encoded(
    dataset: Dataset, url_of: Callable[[DataElement], str] | None = None
) -> dict[str, Any]:
    """Encodes all attributes that can be encoded; large binary ones as URL where `url_of` is given.

    pydicom's own function has an option for this, which makes pydicom strict for all threads. Of
    two threads that use it at the same time, the last one leaves pydicom so.
    """
    encoded: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118 a data set yields elements
        try:
            encoded[f"{tag:08X}"] = dataset[tag].to_json_dict(url_of, MIN_BYTES)
        except Exception as error:  # noqa: BLE001 pydicom raises anything on a value that is invalid
            _LOG.debug("dicomweb.attribute_left_out", tag=f"{tag:08X}", error=type(error).__name__)
    return encoded


def _in_utf_8(encoded: dict[str, Any]) -> dict[str, Any]:
    """Declares UTF-8, the encoding of JSON, whatever the character set of the file is."""
    if _SPECIFIC_CHARACTER_SET in encoded:
        encoded[_SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return encoded


def to_xml(attributes: Mapping[str, Any]) -> bytes:
    """Returns a data set in the DICOM JSON model (PS3.18 F) as an XML document."""
    root = Element("NativeDicomModel", {"xmlns": _NAMESPACE, "xml:space": "preserve"})
    _add_attributes(root, attributes)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add_attributes(parent: Element, attributes: Mapping[str, Any]) -> None:
    creators = _private_creators(attributes)
    for tag, attribute in attributes.items():
        names = {"tag": tag, "vr": attribute["vr"]}
        keyword = keyword_for_tag(int(tag, 16))
        if keyword:
            names["keyword"] = keyword
        creator = creators.get((tag[:4], tag[4:6]))
        if creator:
            names["privateCreator"] = _text(creator)
        element = SubElement(parent, "DicomAttribute", names)
        if "BulkDataURI" in attribute:
            SubElement(element, "BulkData", {"uri": attribute["BulkDataURI"]})
        elif "InlineBinary" in attribute:
            SubElement(element, "InlineBinary").text = attribute["InlineBinary"]
        for number, value in enumerate(attribute.get("Value", ()), start=1):
            _add_value(element, attribute["vr"], str(number), value)


def _private_creators(attributes: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Returns the private creator of each reserved block, by group and block (PS3.5 7.8.1)."""
    return {
        (tag[:4], tag[6:]): str(attribute["Value"][0])
        for tag, attribute in attributes.items()
        if int(tag[:4], 16) % 2 and tag[4:6] == "00" and attribute.get("Value")
    }


def _add_value(element: Element, vr: str, number: str, value: Any) -> None:
    if vr == "SQ":
        _add_attributes(SubElement(element, "Item", {"number": number}), value or {})
    elif vr == "PN":
        name = SubElement(element, "PersonName", {"number": number})
        for group, text in (value or {}).items():
            parts = SubElement(name, group)
            for part, component in zip(_NAME_PARTS, text.split("^"), strict=False):
                if component:
                    SubElement(parts, part).text = _text(component)
    else:
        text = "" if value is None else _text(value)
        SubElement(element, "Value", {"number": number}).text = text


def _text(value: object) -> str:
    return _NOT_IN_XML.sub("�", str(value))
