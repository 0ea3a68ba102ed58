"""Functional groups of the frames of a segmentation in encoded form (PS3.3 C.7.6.16)."""

from collections.abc import Iterable

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import Tag

from node.dicom.results.frames.item_encoding import ItemEncoder

_PER_FRAME = Tag("PerFrameFunctionalGroupsSequence")
# Sequences with an item for each source image, whose UIDs are those of the functional groups.
_REFERENCES = (Tag("SourceImageSequence"), Tag("ReferencedSeriesSequence"))


def encoder_for(result: Dataset) -> ItemEncoder:
    """Returns the encoder of the items of a result."""
    return ItemEncoder(_character_set(result))


def encode_functional_groups(result: Dataset) -> None:
    """Replaces the functional groups of every frame by their encoded form."""
    encoder = encoder_for(result)
    set_functional_groups(result, map(encoder.item, result[_PER_FRAME].value), encoder)


def set_functional_groups(result: Dataset, items: Iterable[bytes], encoder: ItemEncoder) -> None:
    """Sets the encoded functional groups, an item for each frame.

    The references to the source images are encoded, too. pydicom writes encoded sequences as they
    are, and decodes them if they are read or if the result is written in another encoding.
    """
    sequences = {_PER_FRAME: b"".join(items)}
    for tag in _REFERENCES:
        if tag in result:
            sequences[tag] = b"".join(map(encoder.item, result[tag].value))
    for tag in sequences:
        del result[tag]
    # pydicom does this while it writes, but not for a data set that says how it is encoded.
    correct_ambiguous_vr(result, is_little_endian=True)
    for tag, value in sequences.items():
        result[tag] = RawDataElement(
            tag, "SQ", len(value), value, 0, is_implicit_VR=False, is_little_endian=True
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
