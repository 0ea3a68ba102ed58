"""Results in another transfer syntax, for a peer that does not accept the one they have."""

from copy import deepcopy

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian


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
