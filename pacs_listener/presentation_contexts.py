"""The presentation contexts that the listener accepts (PS3.8 7.1.1.13).

It accepts every storage SOP class with every storage transfer syntax. A test compares these tables
with the conformance statement.
"""

from node.domain.sop_classes import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES

__all__ = [
    "STORAGE_COMMITMENT",
    "STORAGE_SOP_CLASSES",
    "STORAGE_TRANSFER_SYNTAXES",
    "VERIFICATION",
    "VERIFICATION_TRANSFER_SYNTAXES",
]

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"

VERIFICATION_TRANSFER_SYNTAXES: dict[str, str] = {
    uid: STORAGE_TRANSFER_SYNTAXES[uid] for uid in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
}
