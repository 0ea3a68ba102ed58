"""Decoding of elements that many headers of a series have in common.

Most elements of a slice have the same bytes in every slice. Each different value is decoded once.
"""

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

# Value representations whose meaning depends on the bytes and the character set alone: neither on
# another element nor on a private dictionary.
_INDEPENDENT_VRS = frozenset(
    {
        *("AE", "AS", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN"),
        *("SH", "SL", "SS", "ST", "TM", "UC", "UI", "UL", "UR", "US", "UT"),
    }
)
_Key = tuple[BaseTag, str | None, bytes, bool, bool, str]


class RepeatedElements:
    """Decodes elements of headers, equal ones once."""

    def __init__(self) -> None:
        self._decoded: dict[_Key, DataElement] = {}

    def decode(self, header: Dataset, tag: BaseTag) -> None:
        """Decodes an element of the header in place.

        Raises what pydicom raises for a damaged value.
        """
        raw: object = header.get_item(tag, keep_deferred=True)
        if not isinstance(raw, RawDataElement):
            return
        if raw.value is None or not _is_independent(raw):
            header[tag]
            return
        key = (
            tag,
            raw.VR,
            raw.value,
            raw.is_implicit_VR,
            raw.is_little_endian,
            str(header.original_character_set),
        )
        known = self._decoded.get(key)
        if known is None:
            self._decoded[key] = header[tag]
            return
        # An element of its own: a change of one header must not reach the others.
        header[tag] = DataElement(
            tag, known.VR, known.value, raw.value_tell, already_converted=True
        )


def _is_independent(raw: RawDataElement) -> bool:
    if raw.tag.is_private:
        return False
    vr = raw.VR
    if vr is None:
        try:
            vr = dictionary_VR(raw.tag)
        except KeyError:
            return False
    return vr in _INDEPENDENT_VRS
