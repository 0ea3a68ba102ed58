"""Codes and items of the Storage Commitment Push Model (PS3.4 J.3) that both roles use."""

from enum import IntEnum

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

__all__ = [
    "ALL_COMMITTED",
    "FAILURES_EXIST",
    "REQUEST_COMMITMENT",
    "FailureReason",
    "StorageCommitmentPushModel",
    "StorageCommitmentPushModelInstance",
    "referenced_instance",
]

REQUEST_COMMITMENT = 1  # action type, PS3.4 table J.3-1
# Event types, PS3.4 J.3.3.1.
ALL_COMMITTED, FAILURES_EXIST = 1, 2


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an instance that is not committed (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = 0x0131
    RESOURCE_LIMITATION = 0x0213


def referenced_instance(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Returns an item of a Referenced SOP Sequence (0008,1199)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item
