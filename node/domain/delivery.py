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


def retry_delay_s(attempt: int, *, first_s: float, max_s: float, jitter: float) -> float:
    """Returns the seconds to wait after failed attempt number `attempt` (from 1).

    The delay doubles from `first_s` up to `max_s`.

    `jitter` in [0, 1) spreads the waits of many nodes over the upper half of the delay.
    """
    # 2**30 seconds exceeds any limit. Limiting the exponent keeps the power finite.
    full = min(max_s, first_s * 2.0 ** min(attempt - 1, 30))
    return full * (0.5 + 0.5 * jitter)
