"""One DICOM instance as it came through a door, before anything has judged it."""

from dataclasses import dataclass, field
from enum import StrEnum

from node.domain.identifiers import Uid


class Channel(StrEnum):
    """How an instance came in."""

    C_STORE = "c-store"
    DICOMWEB = "dicomweb"
    FOLDER = "folder"


@dataclass(frozen=True)
class Origin:
    """Where an instance came from: the door, and who stood there (AE title, source, path)."""

    channel: Channel
    peer: str


@dataclass(frozen=True)
class ReceivedInstance:
    """An instance with its encoded data set (no Part 10 preamble, no file meta information).

    `dataset` is encoded in `transfer_syntax_uid` and never changed on its way to disk.
    """

    sop_class_uid: Uid
    sop_instance_uid: Uid
    series_instance_uid: Uid
    study_instance_uid: Uid
    transfer_syntax_uid: Uid
    dataset: bytes = field(repr=False)
    origin: Origin
