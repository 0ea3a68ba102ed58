"""Names of SOP classes and transfer syntaxes for messages (PS3.6 A)."""

from pydicom.uid import UID

# Newer than the dictionary of pydicom 3.0.
_NEW_NAMES = {
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}


def uid_name(uid: str) -> str:
    """Returns the name of a SOP class or transfer syntax; an unknown UID stands for itself."""
    return _NEW_NAMES.get(uid) or UID(uid).name
