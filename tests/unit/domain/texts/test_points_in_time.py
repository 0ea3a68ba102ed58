"""What people may type as a date or time."""

from datetime import UTC, date, datetime, timedelta

import pytest

from node.domain.texts.points_in_time import day, point_in_time
from tests.support.factories import NOON


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-30", datetime(2026, 11, 30, tzinfo=UTC)),
        ("2026-11-30T08:15", datetime(2026, 11, 30, 8, 15, tzinfo=UTC)),
        (" 2026-11-30 08:15:59 ", datetime(2026, 11, 30, 8, 15, 59, tzinfo=UTC)),
        ("2026-11-30t08:15:59.5z", datetime(2026, 11, 30, 8, 15, 59, 500_000, tzinfo=UTC)),
        ("2026-11-30T08:15+01:00", datetime(2026, 11, 30, 7, 15, tzinfo=UTC)),
        ("2026-11-30T08:15-0130", datetime(2026, 11, 30, 9, 45, tzinfo=UTC)),
        ("90m", NOON - timedelta(minutes=90)),
        ("12h", NOON - timedelta(hours=12)),
        ("3d", NOON - timedelta(days=3)),
    ],
)
def test_a_time_is_a_date_with_or_without_time_and_offset_or_an_age(
    text: str, time: datetime
) -> None:
    found = point_in_time(text, NOON)
    assert (found, found.tzinfo) == (time, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "3w",
        "2026-13-01",
        "2026-11-30T25:00",
        "2026-11-30T08",
        "2026-11-30T08:15 01:00",
        "0001-01-01T00:00+01:00",
        "20261130",
        "٢٠٢٦-١١-٣٠",
        "2026-11-30T08:15+99:00",
    ],
)
def test_other_texts_are_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="is no time") as refused:
        point_in_time(text, NOON)
    assert "2026-11-30T08:15+01:00" in str(refused.value)
    assert "%" not in str(refused.value)


def test_a_day_is_a_date_alone() -> None:
    assert day(" 2026-11-30 ") == date(2026, 11, 30)
    for text in ("", "today", "2026-02-30", "2026-11-30T08:15", "20261130"):
        with pytest.raises(ValueError, match="is no date: write one such as 2026-11-30"):
            day(text)
