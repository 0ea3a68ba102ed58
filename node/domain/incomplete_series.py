"""Series of which the node knows that images are missing, and why."""

from dataclasses import dataclass
from datetime import datetime

from node.domain.identifiers import Uid


@dataclass(frozen=True)
class RefusedImage:
    """An image that the node has refused; the sender may send it again.

    Without a SOP Instance UID, it stands for images that nobody could count: the node has turned
    the sender away before it named them.
    """

    series_instance_uid: Uid
    sop_instance_uid: Uid | None
    reason: str
    refused_at: datetime


@dataclass(frozen=True)
class IncompleteSeries:
    """Why the images of a series are not all here.

    Either images were refused: `refused` of them, 0 if nobody could count them. Or `source` has not
    sent all that the node has asked it for; `is_over` says that the node asks no more.
    """

    series_instance_uid: Uid
    since: datetime
    reason: str
    refused: int = 0
    source: str = ""
    is_over: bool = True

    @property
    def explanation(self) -> str:
        """What is missing, and what a person can do."""
        return f"{self.text} {self.remedy}"

    @property
    def text(self) -> str:
        """What is missing, in a sentence without patient data."""
        if self.source:
            return self._text_of_retrieval
        match self.refused:
            case 0:
                what = "Images of this series may be missing: the node has turned the sender away"
            case 1:
                what = "One image of this series was refused and is missing"
            case count:
                what = f"{count:,} images of this series were refused and are missing"
        return f"{what} ({self.reason})." if self.reason else f"{what}."

    @property
    def remedy(self) -> str:
        """What a person can do, in a sentence."""
        if self.source and not self.is_over:
            return "It is decided when all images are here. Start it by hand to process what is."
        if self.source:
            return "Retrieve the series again, or start it by hand to process what is here."
        return "Send the series again, or start it by hand to process what is here."

    @property
    def _text_of_retrieval(self) -> str:
        if not self.is_over:
            return f"This series is being retrieved from {self.source}."
        reason = f" ({self.reason})" if self.reason else ""
        return f"The retrieval of this series from {self.source} has failed{reason}."
