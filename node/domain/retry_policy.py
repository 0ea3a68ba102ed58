"""When what failed for a while is tried again, and when it is given up."""

from dataclasses import dataclass
from datetime import timedelta

from node.domain.delivery import retry_delay_s


@dataclass(frozen=True)
class RetryPolicy:
    """The wait before the second try, the longest one, and the age at which no other follows."""

    first_s: float
    max_s: float
    give_up_after: timedelta

    def delay_s(self, streak: int, jitter: float) -> float:
        """Seconds to wait after so many tries in a row; see `retry_delay_s`."""
        return retry_delay_s(streak, first_s=self.first_s, max_s=self.max_s, jitter=jitter)


def given_up(age: timedelta, error: str) -> str:
    """What is told of something of that age that failed for the last time with `error`."""
    hours = age.total_seconds() / 3600
    told = f"{hours:.0f} hours" if hours >= 1 else f"{age.total_seconds():.0f} s"
    return f"given up after {told}: {error}"
