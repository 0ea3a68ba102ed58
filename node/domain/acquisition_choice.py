"""Which acquisition counts in a series that holds several of the same region."""

from enum import StrEnum


class AcquisitionChoice(StrEnum):
    """A choice among the acquisitions, phases or reconstructions of a series.

    They are in the order of their image numbers. The values are those of the setting of a rule.
    """

    REFUSE = "refuse"
    FIRST = "first"
    LAST = "last"
    MOST_SLICES = "most-slices"  # the first of those with the most slices
