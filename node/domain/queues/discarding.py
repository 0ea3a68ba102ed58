"""Why and by whom a job was discarded."""

from dataclasses import dataclass
from typing import Self

from node.domain.errors import Rejected, RejectionReason

MAX_REASON = 500
# A name that somebody enters has up to 64 characters; the address of the client may follow it.
MAX_NAME = 64
MAX_USER = 128


@dataclass(frozen=True)
class Discarding:
    """The decision of a person to discard a job."""

    reason: str
    by: str

    @classmethod
    def of(cls, reason: str, by: str) -> Self:
        """Returns the decision, each text on one line.

        Raises:
            Rejected: the reason or the user is missing or too long.
        """
        decision = cls(" ".join(reason.split()), " ".join(by.split()))
        for name, text, limit in (
            ("reason", decision.reason, MAX_REASON),
            ("user", decision.by, MAX_USER),
        ):
            if not text:
                message = f"the {name} is missing: state why the job is discarded and by whom"
                raise Rejected(RejectionReason.INVALID_REQUEST, message)
            if len(text) > limit:
                message = f"the {name} has {len(text)} characters; at most {limit} are stored"
                raise Rejected(RejectionReason.INVALID_REQUEST, message)
        return decision

    def __str__(self) -> str:
        """The text that the job and its history keep."""
        return f"discarded by {self.by}: {self.reason}"
