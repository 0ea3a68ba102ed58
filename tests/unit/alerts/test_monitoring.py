"""The monitoring of one process ends only those alerts whose problems it can check."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.alerts.monitoring import Monitoring, monitoring_from
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.settings import load_settings
from node.store import Store
from tests.support.factories import NOON

DRIFT = Problem(ProblemKind.RESULTS_DRIFTING, "liver", Urgency.NOTICE, "Smaller.", "Look.")
DISK = Problem(ProblemKind.DISK_LOW, "", Urgency.WARNING, "Little space.", "Free some.")
TERABYTES = 900_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    settings = load_settings(configuration(tmp_path))
    opened = Store.open(settings.database_url, settings.data_dir)
    yield opened
    opened.close()


def configuration(folder: Path, text: str = "") -> Path:
    file = folder / "segnode.toml"
    file.write_text(f'data_dir = "data"\n{text}', encoding="utf-8")
    return file


def monitoring(store: Store, text: str = "", *, compares_results: bool = True) -> Monitoring:
    """The monitoring of a process, with these settings."""
    settings = load_settings(configuration(store.data_dir.parent, text))
    return monitoring_from(settings, store, lambda: NOON, compares_results=compares_results)


def open_subjects(store: Store) -> set[str]:
    return {alert.subject for alert in store.open_alerts()}


def test_an_alert_about_drift_stays_open_until_results_are_compared(store: Store) -> None:
    store.start_alert(DRIFT, [], NOON)
    web, worker = monitoring(store, compares_results=False), monitoring(store)
    for process in (web, worker):
        process.alerting.poll()
    assert open_subjects(store) == {"liver"}
    assert web.drift is None
    assert worker.drift is not None
    worker.drift.poll()
    web.alerting.poll()
    assert open_subjects(store) == {"liver"}
    worker.alerting.poll()
    assert open_subjects(store) == set()


def test_an_alert_about_drift_ends_when_drift_is_turned_off(store: Store) -> None:
    store.start_alert(DRIFT, [], NOON)
    monitoring(store, "[monitoring]\ndetect_drift = false\n").alerting.poll()
    assert open_subjects(store) == set()


def test_a_disk_that_gets_worse_does_not_end_the_warning(store: Store) -> None:
    store.start_alert(DISK, [], NOON)
    monitoring(store, f"least_free_gib = {TERABYTES}\n").alerting.poll()
    assert open_subjects(store) == {""}
    monitoring(store).alerting.poll()
    assert open_subjects(store) == set()


def test_little_space_is_a_warning_before_nothing_is_received(store: Store) -> None:
    monitoring(store, f"[monitoring]\nlow_disk_gib = {TERABYTES}\n").alerting.poll()
    assert {alert.kind for alert in store.open_alerts()} == {ProblemKind.DISK_LOW}
