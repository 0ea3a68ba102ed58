"""Durations in texts for people."""

from datetime import timedelta


def duration_text(duration: timedelta) -> str:
    """Returns "90 s", "12 min", "3 h" or "4 days", rounded down."""
    seconds = int(duration.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 2 * 86400 else f"{seconds // 86400} days"
