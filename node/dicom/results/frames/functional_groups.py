"""The functional groups of the frames of a segmentation, in their encoded form (PS3.3 C.7.6.16)."""

from collections.abc import Iterable

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import Tag

from node.dicom.results.frames.item_encoding import ItemEncoder

_PER_FRAME = Tag("PerFrameFunctionalGroupsSequence")


def encoder_for(result: Dataset) -> ItemEncoder:
    """Returns the encoder of the items of a result."""
    return ItemEncoder(_character_set(result))


def encode_functional_groups(result: Dataset) -> None:
    """Replaces the functional groups of every frame by their encoded form."""
    encoder = encoder_for(result)
    set_functional_groups(result, map(encoder.item, result[_PER_FRAME].value))


def set_functional_groups(result: Dataset, items: Iterable[bytes]) -> None:
    """Sets the encoded functional groups, an item for each frame.

    pydicom writes them as they are, and decodes them if they are read or if the result is written
    in another encoding.
    """
    value = b"".join(items)
    del result[_PER_FRAME]
    # pydicom does this while it writes, but not for a data set that says how it is encoded.
    correct_ambiguous_vr(result, is_little_endian=True)
    result[_PER_FRAME] = RawDataElement(
        _PER_FRAME, "SQ", len(value), value, 0, is_implicit_VR=False, is_little_endian=True
    )
    result.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=_character_set(result),
    )


def _character_set(result: Dataset) -> str | list[str]:
    """Returns Python's names of the character sets, in the form that pydicom compares."""
    stated: str | list[str] | None = result.get("SpecificCharacterSet")
    return convert_encodings(stated) if stated else default_encoding
