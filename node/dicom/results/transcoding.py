"""Results in another transfer syntax, for a peer that does not accept the one they have."""

from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian


def uncompressed(dataset: Dataset) -> Dataset:
    """Returns the same instance in Explicit VR Little Endian, with equal pixel values and UIDs.

    A data set that has this transfer syntax is returned unchanged.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == ExplicitVRLittleEndian:
        return dataset
    plain = deepcopy(dataset)
    if syntax.is_encapsulated:
        # The pixels are those of the same instance, so the SOP Instance UID stays.
        plain.decompress(as_rgb=False, generate_instance_uid=False)
    plain.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return plain


def deflated(dataset: Dataset) -> Dataset:
    """Returns the same instance in Deflated Explicit VR Little Endian (PS3.5 A.5).

    That makes a BINARY segmentation, whose pixels are not compressed otherwise, many times smaller.
    """
    small = deepcopy(uncompressed(dataset))
    small.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return small
