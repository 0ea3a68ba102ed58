"""The task that decides series runs when a quiet time ends, however long its interval is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.app import build
from node.domain.job import JobState
from node.processes.series_task import JOBS_TASK, SERIES_TASK, FindSeries
from node.runtime.timers import Timers
from node.settings import load_settings
from node.store import Store
from tests.support.factories import NOON, SERIES, add_instances
from tests.support.processes.worker_parts import WorkerParts
from tests.support.waiting import until

# No second run follows by itself.
_INTERVAL_S = 100_000.0


@pytest.fixture
def timers() -> Iterator[Timers]:
    made = Timers()
    yield made
    made.stop()


@pytest.mark.parametrize("is_early", [False, True])
def test_a_series_is_decided_and_its_job_starts_without_another_poll(
    tmp_path: Path, timers: Timers, *, is_early: bool
) -> None:
    worker = WorkerParts(tmp_path, quiet_seconds=0.6)
    worker.start()
    worker.early_model.may_finish.set()
    early_start = worker.early_start if is_early else None
    find_series = FindSeries(worker.series_completion, early_start, timers, _INTERVAL_S)
    timers.add(SERIES_TASK, _INTERVAL_S, find_series)
    timers.add(JOBS_TASK, _INTERVAL_S, worker.job_scheduler.poll)
    worker.receive()
    timers.start()
    timers.run_soon(SERIES_TASK)
    until(worker.jobs, 20, "the decision")
    assert worker.ended_job().state is JobState.DELIVERED
    assert len(worker.early_model.requests) == (1 if is_early else 0)
    worker.stop()


@pytest.mark.parametrize(("hints", "is_hinted"), [('["release"]', True), ("[]", False)])
def test_the_worker_heeds_what_peers_say_only_where_the_configuration_says_so(
    tmp_path: Path, hints: str, *, is_hinted: bool
) -> None:
    file = tmp_path / "site.toml"
    peer = 'ae_title = "CT1"\nhost = "192.0.2.1"\nport = 104'
    file.write_text(f'data_dir = "data"\n[peers.ct1]\n{peer}\ncomplete_on = {hints}\n')
    settings = load_settings(file)
    store = Store.open(settings.database_url, settings.data_dir)
    add_instances(store, f"{SERIES}.1")
    store.record_completion_hint([SERIES], NOON, "CT1 has released its association")
    hinted = build(settings, store, "test").series_completion.hinted(store.open_series())
    assert (SERIES in hinted) is is_hinted
    store.close()
