"""A DICOM instance as received, before any decision about it."""

from dataclasses import dataclass, field
from enum import StrEnum

from node.domain.identifiers import Uid


class Channel(StrEnum):
    """The interface through which an instance arrived."""

    C_STORE = "c-store"
    C_GET = "c-get"
    DICOMWEB = "dicomweb"
    FOLDER = "folder"


@dataclass(frozen=True)
class Origin:
    """The channel and the peer of an instance: AE title, DICOMweb source or path."""

    channel: Channel
    peer: str

    @property
    def text(self) -> str:
        """The channel, a space and the peer, as a series stores its origin."""
        return f"{self.channel} {self.peer}"


@dataclass(frozen=True)
class ReceivedInstance:
    """An instance with its encoded data set (no Part 10 preamble, no file meta information).

    `dataset` is encoded in `transfer_syntax_uid` and reaches the disk unchanged.
    """

    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    transfer_syntax_uid: Uid
    dataset: bytes = field(repr=False)
    origin: Origin
