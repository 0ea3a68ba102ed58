"""The C-STORE status of each error (PS3.4 B.2.3, PS3.7 C)."""

from enum import IntEnum

from pydicom.dataset import Dataset

from node.domain.errors import NodeError, Rejected, RejectionReason, Transient
from node.intake.inbox import StoredInOtherSeries


class StoreStatus(IntEnum):
    """Every status that the listener answers a C-STORE request with."""

    SUCCESS = 0x0000
    COMPLETED_UIDS = 0xB000
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    STORED_ELSEWHERE = 0xC010
    # pynetdicom answers this where a handler raises.
    DEFECT = 0xC211


# The meaning in the standard, and when it is answered: the table of the conformance statement.
MEANINGS: dict[StoreStatus, tuple[str, str]] = {
    StoreStatus.SUCCESS: (
        "Success",
        "The instance is indexed and is on disk, synced, or in the site's bucket; now or since an "
        "earlier reception.",
    ),
    StoreStatus.COMPLETED_UIDS: (
        "Warning: Coercion of Data Elements",
        "As for success; UIDs that were empty in the data set were filled in.",
    ),
    StoreStatus.NOT_AUTHORIZED: (
        "Refused: Not Authorized",
        "The peer may not store images (may). Nothing was stored.",
    ),
    StoreStatus.OUT_OF_RESOURCES: (
        "Refused: Out of Resources",
        "The free space is below the configured minimum, the disk is read-only, the bucket or the "
        "database does not answer, the database is locked, or the peer has sent as much as it may "
        "(max_images_per_minute, max_gib_per_day). Nothing was stored; the sender should retry "
        "later.",
    ),
    StoreStatus.DOES_NOT_MATCH: (
        "Error: Data Set Does Not Match SOP Class",
        "SOP Class or SOP Instance UID differ between command, presentation context and data set.",
    ),
    StoreStatus.CANNOT_UNDERSTAND: (
        "Error: Cannot Understand",
        "The data set cannot be read as DICOM, or a UID is invalid, or missing and not derivable.",
    ),
    StoreStatus.STORED_ELSEWHERE: (
        "Error: Cannot Understand",
        "The SOP Instance UID is already stored as part of another series.",
    ),
    StoreStatus.DEFECT: (
        "Error: Cannot Understand",
        "A defect of the node; its log has the details. Nothing was stored.",
    ),
}

# Error Comment (0000,0902) is an LO.
_COMMENT_LENGTH = 64


class DoesNotMatch(Rejected):
    """Command and data set disagree."""

    def __init__(self, what: str) -> None:
        super().__init__(
            RejectionReason.INVALID_INSTANCE, f"{what} differs between command and data set"
        )


class MayNotStore(Rejected):
    """The sender may open associations, and not store images."""

    def __init__(self, ae_title: str) -> None:
        message = f"{ae_title} may not store images here"
        super().__init__(RejectionReason.INVALID_INSTANCE, message)


def status_of(error: NodeError) -> StoreStatus:
    """Returns the status that answers a request which failed with `error`."""
    match error:
        case MayNotStore():
            return StoreStatus.NOT_AUTHORIZED
        case DoesNotMatch():
            return StoreStatus.DOES_NOT_MATCH
        case StoredInOtherSeries():
            return StoreStatus.STORED_ELSEWHERE
        case Rejected():
            return StoreStatus.CANNOT_UNDERSTAND
        case Transient():
            return StoreStatus.OUT_OF_RESOURCES
        case _:
            return StoreStatus.DEFECT


def error_comment(error: NodeError) -> str:
    """Returns the Error Comment (0000,0902): why we rejected; no detail of our own failures."""
    text = str(error) if isinstance(error, Rejected) else "out of resources, send again later"
    plain = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text)
    return plain[:_COMMENT_LENGTH]


def response_with(status: StoreStatus, comment: str) -> Dataset:
    """Returns a response with an Error Comment."""
    response = Dataset()
    response.Status = int(status)
    response.ErrorComment = comment
    return response
