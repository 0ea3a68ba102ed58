"""The facts about a series that rules test."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SeriesFacts:
    """The properties of a complete series that conditions test."""

    attributes: Mapping[str, tuple[str, ...]]  # keyword -> values, as texts
    slice_count: int
    origin_peer: str
    requested_rules: frozenset[str] = frozenset()  # by work items that name the series
