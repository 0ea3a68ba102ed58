"""The transfer syntaxes in which a result can be sent, and results in these syntaxes."""

from copy import copy, deepcopy

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SegmentationStorage,
)


def sent_syntaxes(sop_class: UID, own: UID, *, deflated: bool) -> tuple[UID, ...]:
    """Returns the transfer syntaxes in which an object can be sent, the best one first.

    With `deflated`, the first one of a segmentation of single bits is the deflated one, in which
    the bits shrink to less than a hundredth (PS3.5 A.5).
    """
    syntaxes = [own, ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    if deflated and sop_class == SegmentationStorage:
        syntaxes.insert(0, DeflatedExplicitVRLittleEndian)
    return tuple(dict.fromkeys(syntaxes))


def in_syntax(dataset: Dataset, syntax: UID) -> Dataset:
    """Returns the same instance in one of its `sent_syntaxes`, with equal pixel values and UIDs."""
    if syntax == dataset.file_meta.TransferSyntaxUID:
        return dataset
    plain = uncompressed(dataset)
    return _with_syntax(plain, syntax) if syntax == DeflatedExplicitVRLittleEndian else plain


def uncompressed(dataset: Dataset) -> Dataset:
    """Returns the same instance in Explicit VR Little Endian, with equal pixel values and UIDs.

    A data set that has this transfer syntax is returned unchanged.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == ExplicitVRLittleEndian:
        return dataset
    if not syntax.is_encapsulated:
        return _with_syntax(dataset, ExplicitVRLittleEndian)
    plain = deepcopy(dataset)
    # The pixels are those of the same instance, so the SOP Instance UID stays.
    plain.decompress(as_rgb=False, generate_instance_uid=False)
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return plain


def _with_syntax(dataset: Dataset, syntax: UID) -> Dataset:
    """Returns a copy that is written in `syntax`; both share their elements."""
    other = copy(dataset)
    other.file_meta = deepcopy(dataset.file_meta)
    other.file_meta.TransferSyntaxUID = syntax
    return other
