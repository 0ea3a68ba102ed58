"""What the listener takes: presentation contexts (PS3.8 7.1.1.13).

Every storage SOP class goes with every storage transfer syntax. The conformance statement is
tested against these tables.
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
