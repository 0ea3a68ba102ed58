"""Agreement of two segmentations of the same images, by organ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any, Self


@dataclass(frozen=True)
class OrganAgreement:
    """One organ in two segmentations; `reference_ml` and `volume_ml` are its volumes in mL.

    `dice` is the Dice coefficient, 2 |A ∩ B| / (|A| + |B|); None if neither has the organ.
    """

    organ: str
    dice: float | None
    reference_ml: float
    volume_ml: float

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Returns the agreement that is stored as `asdict`; further keys do not count."""
        return cls(**{field.name: table[field.name] for field in fields(cls)})

    @property
    def difference_ml(self) -> float:
        """How much larger the organ is than in the reference."""
        return self.volume_ml - self.reference_ml


@dataclass(frozen=True)
class AgreementSummary:
    """The agreement on one organ over `count` series in which one of both found it."""

    organ: str
    count: int
    mean_dice: float
    min_dice: float
    mean_difference_ml: float


def summarise(agreements: Iterable[OrganAgreement]) -> tuple[AgreementSummary, ...]:
    """Returns the summary of each organ, in the order of their first appearance."""
    by_organ: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for each in agreements:
        if each.dice is not None:
            by_organ[each.organ].append((each.dice, each.difference_ml))
    return tuple(
        AgreementSummary(
            organ=organ,
            count=len(values),
            mean_dice=fmean(dice for dice, _ in values),
            min_dice=min(dice for dice, _ in values),
            mean_difference_ml=fmean(difference for _, difference in values),
        )
        for organ, values in by_organ.items()
    )
