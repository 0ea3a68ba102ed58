"""Identification of the node as the equipment that creates results."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from node.domain.identifiers import Uid, mint_uid

# Identifies this implementation in file meta information and associations (PS3.7 D.3.3.2).
IMPLEMENTATION_CLASS_UID = mint_uid("implementation", "segnode")


@dataclass(frozen=True)
class Equipment:
    """The node as a device (PS3.3 C.7.5.1 and C.7.5.2); equal for equal releases."""

    manufacturer: str
    model_name: str
    software_version: str
    serial_number: str
    device_uid: Uid
    implementation_class_uid: Uid
    implementation_version_name: str


@cache
def this_node() -> Equipment:
    """Returns the equipment of the installed release."""
    release = version("segnode")
    return Equipment(
        manufacturer="segnode",
        model_name="segnode",
        software_version=release,
        # DICOM requires a serial number (type 1). Software has none, so the release is used.
        serial_number=release,
        device_uid=mint_uid("device", "segnode", release),
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        # At most 16 characters (SH).
        implementation_version_name=f"SEGNODE_{release}"[:16],
    )


def file_meta(dataset: Dataset, transfer_syntax_uid: UID) -> FileMetaDataset:
    """Returns the file meta information (PS3.10 7.1) of an instance that the node creates."""
    node = this_node()
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # pydicom replaces it by the true length on writing
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = UID(node.implementation_class_uid)
    meta.ImplementationVersionName = node.implementation_version_name
    return meta
