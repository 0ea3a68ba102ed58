"""A console open in a browser; the test performs the work of the node's other processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from playwright.sync_api import ConsoleMessage, Page, expect

from node.domain.job import Job, JobState
from node.domain.series import SeriesState, StoredSeries
from node.routing.rule_matching import decide
from node.routing.series_facts import SeriesFacts
from tests.support.servers.served_node import ServedNode

_TIMEOUT_MS = 20_000
CONFIGURATION = """
[listener]
ae_title = "LIVERNODE"
port = 11199

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "abdomen"
model = "liver-ct"
destinations = ["archive"]
when = { all = [{ attribute = "Modality", equals = "CT" }, { at_least_slices = 30 }] }
"""


def _is_error(line: ConsoleMessage) -> bool:
    return line.type == "error"


@contextmanager
def open_console(page: Page, url: str) -> Iterator[Page]:
    """Opens the list of series; an error in the page fails the test at the end."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if _is_error(line) else None)
    page.set_default_timeout(_TIMEOUT_MS)
    expect.set_options(timeout=_TIMEOUT_MS)
    page.goto(url)
    yield page
    assert not errors, errors


def decide_series(node: ServedNode, series: StoredSeries) -> SeriesState:
    """Decides the series by the node's rules, as the worker does."""
    facts = SeriesFacts({"Modality": ("CT",)}, series.instance_count, "CT_ROOM_1")
    decision = decide(node.settings.rules, facts)
    state = SeriesState.ACCEPTED if decision.rules else SeriesState.IGNORED
    uid = series.series_instance_uid
    assert node.store.record_decision(
        uid, decision.to_json(), state, datetime.now(UTC), series.instance_count
    )
    return state


def accept(node: ServedNode, series: StoredSeries) -> Job:
    """Accepts the series as if a rule matched; returns its queued job."""
    job = node.add_job(series)
    assert node.store.record_decision(
        series.series_instance_uid,
        '{"matches": []}',
        SeriesState.ACCEPTED,
        datetime.now(UTC),
        series.instance_count,
    )
    return job


def park(node: ServedNode, job: Job, reason: str) -> None:
    """Parks the job, as the worker does after errors."""
    node.store.change_job(job.job_id, JobState.PARKED, datetime.now(UTC), reason=reason)
