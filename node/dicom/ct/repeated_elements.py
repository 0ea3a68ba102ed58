"""Decoding of elements that many headers of a series have in common.

Most elements of a slice have the same bytes in every slice. Each different value is decoded once.
"""

from collections.abc import Iterable

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset
from pydicom.tag import BaseTag

# Value representations whose meaning depends on the bytes and the character set alone: neither on
# another element nor on a private dictionary.
_INDEPENDENT_VRS = frozenset(
    {
        *("AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN"),
        *("SH", "SL", "SS", "ST", "TM", "UC", "UI", "UL", "UR", "US", "UT"),
    }
)
# Tag, VR and value as they are in the file. A tag as a number: pydicom compares its own in Python.
_Encoded = tuple[int, str | None, bytes]


class RepeatedElements:
    """Decodes elements of headers, equal ones once."""

    def __init__(self) -> None:
        # By encoding of the header: two headers may give the same bytes a different meaning.
        self._decoded: dict[tuple[bool | None, bool | None, str], dict[_Encoded, DataElement]] = {}

    def decode(self, header: FileDataset, tags: Iterable[BaseTag]) -> None:
        """Decodes these elements of the header in place.

        Raises what pydicom raises for a damaged value.
        """
        encoding = (*header.original_encoding, str(header.original_character_set))
        decoded = self._decoded.setdefault(encoding, {})
        for tag in tags:
            raw: object = header.get_item(tag, keep_deferred=True)
            if not isinstance(raw, RawDataElement):
                continue
            if raw.value is None:
                header[tag]
                continue
            key = (int(tag), raw.VR, raw.value)
            known = decoded.get(key)
            if known is not None:
                # An element of its own: a change of one header must not reach the others.
                header[tag] = DataElement(
                    tag, known.VR, known.value, raw.value_tell, already_converted=True
                )
                continue
            element = header[tag]
            if _is_independent(raw):
                decoded[key] = element


def _is_independent(raw: RawDataElement) -> bool:
    if raw.tag.is_private:
        return False
    if raw.VR is not None:
        return raw.VR in _INDEPENDENT_VRS
    try:
        return dictionary_VR(raw.tag) in _INDEPENDENT_VRS
    except KeyError:
        return False
