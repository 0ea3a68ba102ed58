"""Texts of the overview: destinations, durations, sizes and the sentence when all is well."""

from datetime import datetime, timedelta

from node.domain.monitoring.destination_health import DestinationHealth
from node.domain.monitoring.problem import Urgency
from node.health.destinations import needs_attention
from node.health.durations import duration_text
from node.health.overview import Overview, SiteState
from node.web.console.state_text import StateText, Tone

_GIB = 1 << 30
_URGENCIES = {Urgency.CRITICAL: "Urgent", Urgency.WARNING: "To do", Urgency.NOTICE: "To check"}
_UNUSED = StateText("Not used yet", Tone.QUIET, "Nothing has been sent to it so far.")
_REACHABLE = StateText("Reachable", Tone.DONE, "The last attempt succeeded.")
_RETRYING = StateText("Retrying", Tone.BUSY, "The last attempt failed; the node retries.")
_IDLE = StateText("Nothing to send", Tone.QUIET, "The last attempt failed; nothing waits.")
_PAUSED = StateText("Paused", Tone.QUIET, "Nothing is sent to it until somebody resumes it.")
_FAILING = StateText("Failing", Tone.ATTENTION, "It has failed for some time.")


def urgency_name(urgency: Urgency) -> str:
    """Returns the name of an urgency."""
    return _URGENCIES[urgency]


def destination_state(health: DestinationHealth, overview: Overview, now: datetime) -> StateText:
    """Returns the text of a destination's state."""
    if health.is_paused:
        return _PAUSED
    if needs_attention(health, overview.policy, now):
        return _FAILING
    if health.is_failing:
        return _RETRYING if health.waiting else _IDLE
    return _UNUSED if health.last_answered_at is None else _REACHABLE


def all_well(state: SiteState) -> str:
    """Returns one sentence that says what works."""
    overview = state.overview
    if overview is None or overview.today.received == 0:
        return "All is well: the node is ready to receive."
    received, delivered = overview.today.received, overview.today.delivered
    series = "1 series" if received == 1 else f"{received:,} series"
    results = "1 result" if delivered == 1 else f"{delivered:,} results"
    return f"All is well: {series} received and {results} delivered today."


def duration(seconds: float) -> str:
    """Returns "12 s", "4 min" or "2 h"."""
    return duration_text(timedelta(seconds=seconds))


def size(number_of_bytes: int | None) -> str:
    """Returns "12.3 GiB"; "unknown" for None."""
    if number_of_bytes is None:
        return "unknown"
    gib = number_of_bytes / _GIB
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.1f} GiB"
