"""Encoding of the items of a sequence in Explicit VR Little Endian (PS3.5 7.1.2, 7.5).

The bytes are those of pydicom, which encodes every element of every item. The items of thousands of
frames repeat the same few elements. Here each different one is encoded once.
"""

import struct
from collections.abc import Iterable, Mapping

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag

# Value representations of text whose bytes depend on its characters alone. A number in text form
# (DS, IS) is not among them: equal numbers may be written in different ways.
_REPEATED_VRS = frozenset({"CS", "LO", "SH", "UI"})
_ITEM = b"\xfe\xff\x00\xe0"

EncodedElements = Mapping[int, bytes]  # by tag


class ItemEncoder:
    """Encodes items of a data set with this character set; every length is explicit.

    An item that is part of several others is encoded once, so items must not change in between.
    """

    def __init__(self, character_set: str | list[str]) -> None:
        self._character_set = character_set
        self._known: dict[tuple[int, str, str], bytes] = {}
        # By identity. Each is kept, so that no other one gets its identity.
        self._items: dict[int, tuple[Dataset, bytes]] = {}

    def elements(self, item: Dataset, *, without: BaseTag | None = None) -> dict[int, bytes]:
        """Returns the encoded elements of an item, with tag, VR and length."""
        return {
            int(tag): self._element(item[tag])
            for tag in item.keys()  # noqa: SIM118 a data set yields elements
            if tag != without
        }

    def item(self, item: Dataset) -> bytes:
        """Returns an encoded item, with its delimiter and length."""
        known = self._items.get(id(item))
        if known is None:
            known = self._items[id(item)] = (item, item_of(self.elements(item)))
        return known[1]

    def _element(self, element: DataElement) -> bytes:
        if element.VR == "SQ":
            return sequence_of(element.tag, map(self.item, element.value))
        if element.VR not in _REPEATED_VRS or not isinstance(element.value, str):
            return self._by_pydicom(element)
        key = (int(element.tag), element.VR, element.value)
        encoded = self._known.get(key)
        if encoded is None:
            encoded = self._known[key] = self._by_pydicom(element)
        return encoded

    def _by_pydicom(self, element: DataElement) -> bytes:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, self._character_set)
        return buffer.getvalue()


def item_of(elements: EncodedElements) -> bytes:
    """Returns the item of encoded elements, in the order of their tags."""
    content = b"".join([elements[tag] for tag in sorted(elements)])
    return _ITEM + struct.pack("<L", len(content)) + content


def sequence_of(tag: BaseTag, items: Iterable[bytes]) -> bytes:
    """Returns the sequence of encoded items."""
    content = b"".join(items)
    return struct.pack("<HH2sHL", tag.group, tag.element, b"SQ", 0, len(content)) + content


def unsigned_longs_of(tag: BaseTag, values: Iterable[int]) -> bytes:
    """Returns an element of numbers with VR UL."""
    content = b"".join(struct.pack("<L", value) for value in values)
    return struct.pack("<HH2sH", tag.group, tag.element, b"UL", len(content)) + content


def unsigned_short_of(tag: BaseTag, value: int) -> bytes:
    """Returns an element of one number with VR US."""
    return struct.pack("<HH2sHH", tag.group, tag.element, b"US", 2, value)
