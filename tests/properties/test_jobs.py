"""Any order of events keeps the states of a job and its delivery valid, in domain and store."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from node.domain.delivery import DeliveryState, Receipt
from node.domain.job import JobState, can_transition, is_final
from node.domain.queues.pause import Pause, Queue
from node.domain.queues.selection import DeliveryName, Interface
from node.domain.series import SeriesState
from node.store import IllegalChange, Store
from tests.support.factories import NOON, SERIES, job_of, received, sqlite_url

EVENTS = st.one_of(
    st.sampled_from(list(JobState)), st.sampled_from(["retry", "supersede", "receipt", "park"])
)
DELIVERY_EVENTS = st.sampled_from(
    ["claim", "fail", "park", "receipt", "retry", "discard", "redirect", "back", "pause", "resume"]
)
PACS = Queue.of_destination("pacs")


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


def act(store: Store, name: str, event: str, number: int) -> bool:
    """Applies one event of an attempt or a person; returns whether the PACS may get the object."""
    pacs, archive = DeliveryName(name, "pacs"), DeliveryName(name, "archive")
    match event:
        case "claim":
            return store.claim_attempt(name, "pacs", number, f"workflow {number}")
        case "fail":
            store.record_failed_delivery(name, "pacs", NOON, error="down", next_try_at=NOON)
        case "park":
            store.park_delivery(name, "pacs", NOON, error="down")
        case "receipt":
            store.record_receipt(name, "pacs", Receipt("pacs", "kept"), NOON)
        case "retry":
            store.retry_deliveries([pacs], NOON, Interface.CLI)
        case "discard":
            store.discard_deliveries([pacs], NOON, Interface.CLI, "not needed")
        case "redirect":
            store.redirect_deliveries([pacs], "archive", NOON, Interface.CLI)
        case "back":
            store.redirect_deliveries([archive], "pacs", NOON, Interface.CLI)
        case "pause":
            store.pause_queue(Pause(PACS, NOON, Interface.CLI))
        case "resume":
            store.resume_queue(PACS, NOON, Interface.CLI)
    return False


@settings(max_examples=15, deadline=None)
@given(st.lists(DELIVERY_EVENTS, max_size=12))
def test_any_order_of_events_keeps_the_stored_delivery_valid(events: list[str]) -> None:
    with TemporaryDirectory() as folder:
        store = Store.open(sqlite_url(Path(folder)), Path(folder))
        store.add_instance(received(), Path(folder) / "x", 1, NOON)
        job = job_of(SERIES)
        name = job.job_id
        store.add_job(job)
        store.change_job(name, JobState.RUNNING, NOON)
        store.add_deliveries(name, ["pacs"], NOON)
        store.change_job(name, JobState.DELIVERING, NOON)
        seen, attempts, is_claimed = DeliveryState.WAITING, 0, False
        for event in events:
            is_paused = PACS in store.pauses()
            claimed = act(store, name, event, attempts + 1)
            pacs = store.get_delivery(name, "pacs")
            assert pacs is not None
            # One workflow at most makes an attempt, and only at a delivery that waits.
            assert not claimed or (seen is DeliveryState.WAITING and not is_paused)
            if seen is DeliveryState.DELIVERED:
                assert pacs.state is DeliveryState.DELIVERED
            if seen is DeliveryState.DISCARDED and event != "back":
                assert pacs.state is DeliveryState.DISCARDED
            if pacs.state is DeliveryState.DISCARDED and seen is not pacs.state:
                assert event in {"discard", "redirect"}
            assert (pacs.next_try_at is not None) == (pacs.state is DeliveryState.WAITING)
            is_claimed = claimed or (is_claimed and pacs.attempts == attempts)
            assert not store.claim_attempt(name, "pacs", attempts + 1, "another") or not is_claimed
            store.release_claim(name, "pacs", "another")
            seen, attempts = pacs.state, pacs.attempts
        store.close()
