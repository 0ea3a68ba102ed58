"""Any order of events keeps the state of a job valid, in the domain and in the store."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.delivery import DeliveryState, Receipt
from node.domain.job import JobState, can_transition, is_final
from node.domain.series import SeriesState
from node.store import IllegalChange, Store
from tests.support.factories import NOON, SERIES, job_of, received, sqlite_url

EVENTS = st.one_of(
    st.sampled_from(list(JobState)), st.sampled_from(["retry", "supersede", "receipt", "park"])
)


@given(st.lists(st.sampled_from(list(JobState)), max_size=20))
def test_a_final_state_is_never_left(wanted: list[JobState]) -> None:
    state, finished = JobState.QUEUED, False
    for then in wanted:
        if can_transition(state, then):
            assert not finished
            state = then
        finished = is_final(state)


def apply(store: Store, name: str, event: JobState | str) -> None:
    """Applies one event of a worker, a person or a late slice."""
    match event:
        case "retry":
            store.retry_job(name, NOON)
        case "supersede":
            newer = job_of(SERIES, job_id="newer")
            state = SeriesState.ACCEPTED
            assert store.record_decision(SERIES, "{}", state, NOON, seen_count=1, jobs=[newer])
        case "receipt":
            store.record_receipt(name, "archive", Receipt("archive", "kept"), NOON)
        case "park":
            store.park_delivery(name, "archive", NOON, error="down")
        case _:
            store.change_job(name, JobState(event), NOON)


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_any_order_of_events_keeps_the_stored_job_valid(events: list[JobState | str]) -> None:
    with TemporaryDirectory() as folder:
        store = Store.open(sqlite_url(Path(folder)), Path(folder))
        store.add_instance(received(), Path(folder) / "x", 1, NOON)
        job = job_of(SERIES)
        store.add_job(job)
        store.add_deliveries(job.job_id, ["archive"], NOON)
        seen, delivered, runs = JobState.QUEUED, False, 1
        for event in events:
            with suppress(IllegalChange):
                apply(store, job.job_id, event)
            stored = store.get_job(job.job_id)
            assert stored is not None
            assert stored.state == seen or can_transition(seen, stored.state)
            if event == "supersede" and delivered:
                assert stored.state is seen
            (delivery,) = store.deliveries_of(job.job_id)
            assert not delivered or delivery.state is DeliveryState.DELIVERED
            number = store.run_number(job.job_id)
            assert number - runs == int(event == "retry" and seen is JobState.PARKED)
            seen, runs = stored.state, number
            delivered = delivery.state is DeliveryState.DELIVERED
        store.close()
