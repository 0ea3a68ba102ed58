"""Rules: which series a model processes, and the destinations of the result."""

from dataclasses import dataclass

from node.domain.job import Priority
from node.routing.conditions import Condition

# One day: after a longer pause, a scanner has started a new examination.
MAX_QUIET_SECONDS = 86400


@dataclass(frozen=True)
class Rule:
    """A series that satisfies `when` is processed by `model`; results go to `destinations`."""

    name: str
    model: str
    destinations: tuple[str, ...]
    when: Condition
    quiet_seconds: float
    priority: Priority = Priority.ROUTINE
