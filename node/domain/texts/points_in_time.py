"""Dates and times that people type as conditions of a search."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

_AGE = re.compile(r"([0-9]{1,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    rf"{_DATE.pattern}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)


def point_in_time(text: str, now: datetime) -> datetime:
    """Returns the time that a text means, in UTC.

    It is a date, a date with a time, one with an offset, or an age such as 12h. Without an offset,
    it is in UTC.

    Raises:
        ValueError: it is none of these; the message says what is possible.
    """
    text = text.strip()
    if age := _AGE.fullmatch(text):
        return now - int(age[1]) * _UNITS[age[2]]
    if _TIME.fullmatch(text):
        with suppress(ValueError, OverflowError):  # such as a month 13, or a time before year 1
            time = datetime.fromisoformat(text.upper())
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    raise ValueError(
        f"{text!r} is no time: write a date such as 2026-11-30, with a time such as "
        "2026-11-30T08:15, with an offset from UTC such as 2026-11-30T08:15+01:00, or how long "
        "ago, such as 90m, 12h or 3d"
    )


def day(text: str) -> date:
    """Returns the date that a text means.

    Raises:
        ValueError: it is no date.
    """
    text = text.strip()
    if _DATE.fullmatch(text):
        with suppress(ValueError):  # such as a month 13
            return date.fromisoformat(text)
    raise ValueError(f"{text!r} is no date: write one such as 2026-11-30")
