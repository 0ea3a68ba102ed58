"""Results in another transfer syntax, for a peer that does not accept the one they have."""

from copy import deepcopy

from pydicom.dataset import Dataset


def uncompressed(dataset: Dataset) -> Dataset:
    """Returns the same instance in Explicit VR Little Endian, with equal pixel values and UIDs.

    A data set that is not compressed is returned unchanged.
    """
    if not dataset.file_meta.TransferSyntaxUID.is_compressed:
        return dataset
    plain = deepcopy(dataset)
    # The pixels are those of the same instance, so the SOP Instance UID stays (PS3.4 B.4.1.3).
    plain.decompress(as_rgb=False, generate_instance_uid=False)
    return plain
