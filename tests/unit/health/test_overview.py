"""The figures of the overview."""

import pytest

from node.health.overview import Turnaround, turnaround_of


@pytest.mark.parametrize(
    ("durations_s", "expected"),
    [
        ([7.0], Turnaround(1, 7.0, 7.0)),
        ([40.0, 10.0, 30.0, 20.0], Turnaround(4, 25.0, 40.0)),
        ([float(n) for n in range(1, 101)], Turnaround(100, 50.5, 95.0)),
        ([1.0] * 96 + [900.0] * 4, Turnaround(100, 1.0, 1.0)),
    ],
)
def test_the_turnaround_is_the_median_and_the_95th_percentile_by_nearest_rank(
    durations_s: list[float], expected: Turnaround
) -> None:
    assert turnaround_of(durations_s) == expected


def test_without_deliveries_there_is_no_turnaround() -> None:
    assert turnaround_of([]) is None
