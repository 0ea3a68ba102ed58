"""Rules: which series a model processes, and the destinations of the result."""

from dataclasses import dataclass

from node.domain.findings import FindingKind
from node.domain.job import Priority
from node.domain.series import AcquisitionChoice
from node.routing.conditions import Condition

# One day: after a longer pause, a scanner has started a new examination.
MAX_QUIET_SECONDS = 86400


@dataclass(frozen=True)
class Rule:
    """A series that satisfies `when` is processed by `model`; results go to `destinations`.

    A result with a finding of `mark_on` is marked. One with a finding of `hold_on` waits until a
    person releases it. `acquisitions` is the choice in a series that holds several of one region.
    A rule that is `only_for_work_items` applies to series that a work item requests it for; its
    `when` includes that condition.
    """

    name: str
    model: str
    destinations: tuple[str, ...]
    when: Condition
    quiet_seconds: float
    priority: Priority = Priority.ROUTINE
    mark_on: frozenset[FindingKind] = frozenset()
    hold_on: frozenset[FindingKind] = frozenset()
    acquisitions: AcquisitionChoice = AcquisitionChoice.REFUSE
    only_for_work_items: bool = False
