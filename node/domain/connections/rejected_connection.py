"""Requests of senders that the listener rejects, counted by sender and reason."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ListenerRejection(StrEnum):
    """Why the listener rejects a sender's request; the values are labels of a metric."""

    CALLED_AE_TITLE = "called-ae-title"  # the sender uses another AE title for this node
    CALLING_AE_TITLE = "calling-ae-title"  # no peer has the sender's AE title
    TOO_MANY_ASSOCIATIONS = "too-many-associations"  # of all senders together
    TOO_MANY_OF_ADDRESS = "too-many-of-address"  # associations of the sender's address
    NO_SPACE = "no-space"  # the disk has less free space than the minimum
    SOP_CLASS = "sop-class"  # a presentation context: the node stores no such objects
    TRANSFER_SYNTAX = "transfer-syntax"  # a presentation context: no offered one is known
    INSTANCE = "instance"  # a C-STORE request with a failure status
    ADDRESS = "address"  # a peer may not come from this address
    IMAGES_PER_MINUTE = "images-per-minute"  # a peer has sent as many as it may
    GIB_PER_DAY = "gib-per-day"  # a peer has sent as much as it may
    QUOTA = "quota"  # either of these two, recorded by an earlier version
    USER_IDENTITY = "user-identity"
    TLS_EXPECTED = "tls-expected"  # without TLS on the port for TLS
    PLAIN_EXPECTED = "plain-expected"  # with TLS on the port without it
    NO_CERTIFICATE = "no-certificate"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NAME = "certificate-name"  # the certificate belongs to no peer with this AE title
    OWN_CERTIFICATE_REFUSED = "own-certificate-refused"  # the sender does not trust the node
    TLS_FAILED = "tls-failed"
    OTHER = "other"

    @property
    def ends_association(self) -> bool:
        """Whether the whole association is rejected, not a part of it."""
        return self not in {
            ListenerRejection.SOP_CLASS,
            ListenerRejection.TRANSFER_SYNTAX,
            ListenerRejection.INSTANCE,
        }


# Reasons that pass: what the sender has still to send may continue a series.
TEMPORARY_REJECTIONS = {
    ListenerRejection.NO_SPACE,
    ListenerRejection.IMAGES_PER_MINUTE,
    ListenerRejection.GIB_PER_DAY,
    ListenerRejection.TOO_MANY_ASSOCIATIONS,
    ListenerRejection.TOO_MANY_OF_ADDRESS,
}


@dataclass(frozen=True)
class RejectionKey:
    """What rejections have in common that count as one connection.

    `sop_class_uid` is empty where the association is rejected. `status` is that of the C-STORE
    response as four hexadecimal digits, empty for other rejections.
    """

    calling_ae_title: str
    called_ae_title: str
    address: str
    reason: ListenerRejection
    sop_class_uid: str = ""
    status: str = ""


@dataclass(frozen=True)
class RejectionTally:
    """How often something was rejected since the last tally, and when first and last.

    `transfer_syntax_uids` are those that the sender offered last.
    """

    count: int
    first_at: datetime
    last_at: datetime
    transfer_syntax_uids: tuple[str, ...] = ()


@dataclass(frozen=True)
class RejectedConnection:
    """A connection that the listener has rejected in the same way `count` times."""

    key: RejectionKey
    tally: RejectionTally
