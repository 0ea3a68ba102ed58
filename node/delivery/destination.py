"""What every destination promises."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node.domain.delivery import Receipt
from node.domain.identifiers import Uid


@dataclass(frozen=True)
class ResultFile:
    """A result on disk: a Part 10 file and the UIDs by which it is known."""

    path: Path
    study_instance_uid: Uid
    series_instance_uid: Uid
    sop_instance_uid: Uid


class Destination(Protocol):
    """Somewhere that results go to; the same result may be delivered to it again."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    def deliver(self, result: ResultFile) -> Receipt:
        """Hand the result over; it is kept there when this returns.

        Raises:
            Transient: it did not arrive, and may later; the message says what to look at.
            Rejected: the destination will not take it, now or later; the message has its words.
        """
