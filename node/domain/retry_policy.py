"""Delay before a retry, and the age at which retries end."""

from dataclasses import dataclass
from datetime import timedelta

# The jitter of work that only one process of a site retries: its delays need no spread.
NO_SPREAD_JITTER = 0.5


@dataclass(frozen=True)
class RetryPolicy:
    """First and maximum delay in seconds, and the age after which no retry follows."""

    first_s: float
    max_s: float
    give_up_after: timedelta

    def delay_s(self, streak: int, jitter: float) -> float:
        """Seconds to wait after `streak` failed attempts in a row; see `retry_delay_s`."""
        return retry_delay_s(streak, first_s=self.first_s, max_s=self.max_s, jitter=jitter)


def given_up(age: timedelta, error: str) -> str:
    """The message about work of this age whose last attempt failed with `error`."""
    hours = age.total_seconds() / 3600
    duration = f"{hours:.0f} hours" if hours >= 1 else f"{age.total_seconds():.0f} s"
    return f"given up after {duration}: {error}"


def retry_delay_s(attempt: int, *, first_s: float, max_s: float, jitter: float) -> float:
    """Returns the seconds to wait after failed attempt number `attempt` (from 1).

    The delay doubles from `first_s` up to `max_s`.

    `jitter` in [0, 1) spreads the waits of many nodes over the upper half of the delay.
    """
    # 2**30 seconds exceeds any limit. Limiting the exponent keeps the power finite.
    full = min(max_s, first_s * 2.0 ** min(attempt - 1, 30))
    return full * (0.5 + 0.5 * jitter)
