"""The delivery of one result to one destination."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryState(StrEnum):
    """State of a delivery."""

    WAITING = "waiting"  # due now or at `next_try_at`
    COMMITTING = "committing"  # sent; storage commitment is outstanding
    DELIVERED = "delivered"
    PARKED = "parked"  # stopped after errors; a person can retry it


@dataclass(frozen=True)
class Receipt:
    """The destination's answer to a successful delivery, in one line."""

    destination: str
    detail: str


@dataclass(frozen=True)
class Delivery:
    """A delivery as stored. Times are UTC."""

    job_id: str
    destination: str
    state: DeliveryState
    attempts: int
    next_try_at: datetime | None
    last_error: str
    receipt: str
