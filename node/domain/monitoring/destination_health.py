"""The health of a destination, from the outcomes of the attempts to deliver to it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class DeliveryOutcome(StrEnum):
    """How a destination answered an attempt; the values are labels of a metric."""

    DELIVERED = "delivered"
    FAILED = "failed"  # it did not answer, or asked to send again later
    REFUSED = "refused"  # it answered and does not take the object


class DeliveryStage(StrEnum):
    """The part of a delivery that an outcome is about."""

    SEND = "send"
    COMMIT = "commit"  # storage commitment, after the object was sent


@dataclass(frozen=True)
class DestinationHealth:
    """A destination's health as stored. `failures` counts the failed attempts in a row.

    `failing_since` is None while the destination answers. `attention_since` is set once the
    failures have been reported. `waiting` counts the deliveries that wait for it. While a person
    has paused it, it needs no attention.
    """

    name: str
    failing_since: datetime | None = None
    failures: int = 0
    last_error: str = ""
    last_answered_at: datetime | None = None
    attention_since: datetime | None = None
    waiting: int = 0
    next_attempt_at: datetime | None = None
    delivered_count: int = 0
    failed_count: int = 0
    refused_count: int = 0
    is_paused: bool = False

    @property
    def is_failing(self) -> bool:
        """Whether its last attempt failed."""
        return self.failing_since is not None

    @property
    def needs_attention(self) -> bool:
        """Whether its failures have been reported and deliveries still wait for it."""
        return self.attention_since is not None and self.waiting > 0 and not self.is_paused


@dataclass(frozen=True)
class AttentionPolicy:
    """A destination needs attention after this many failures in a row, or after this time."""

    failures: int
    time: timedelta

    def is_met(self, health: DestinationHealth, now: datetime) -> bool:
        """Whether the destination has failed long enough while deliveries wait for it."""
        if health.failing_since is None or health.waiting == 0 or health.is_paused:
            return False
        return health.failures >= self.failures or now - health.failing_since >= self.time
