"""Who we are: the equipment that every result names as its maker."""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

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
    """The equipment of the installed release."""
    release = version("segnode")
    return Equipment(
        manufacturer="segnode",
        model_name="segnode",
        software_version=release,
        # Software has no serial number, and DICOM wants one (type 1): the release stands in.
        serial_number=release,
        device_uid=mint_uid("device", "segnode", release),
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        # At most 16 characters (SH).
        implementation_version_name=f"SEGNODE_{release}"[:16],
    )
