"""An attempt to deliver to a destination that the configuration no longer has."""

from datetime import timedelta
from pathlib import Path

from node.domain.delivery import DeliveryState
from node.domain.job import JobState
from node.domain.retry_policy import RetryPolicy
from node.jobs.deliver_step import DeliverStep, DeliveryAttempt
from node.store import Store
from tests.support.factories import NOON, SERIES, add_instances, job_of, sqlite_url


def test_the_delivery_waits_and_says_what_to_do(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    add_instances(store, "1.2.3.1")
    job = job_of(SERIES)
    assert store.add_job(job)
    store.change_job(job.job_id, JobState.RUNNING, NOON)
    store.add_deliveries(job.job_id, ["old"], NOON)
    store.change_job(job.job_id, JobState.DELIVERING, NOON)
    step = DeliverStep(
        store,
        destinations={},
        policy=RetryPolicy(1.0, 1.0, timedelta(hours=1)),
        now=lambda: NOON,
        jitter=lambda: 0.0,
    )
    assert step.run(DeliveryAttempt(job.job_id, "old", 1, 1), "a workflow") is not None
    delivery = store.get_delivery(job.job_id, "old")
    store.close()
    assert delivery is not None
    assert delivery.state is DeliveryState.WAITING
    assert delivery.last_error == (
        "the configuration no longer has a destination 'old': redirect or discard what waits for "
        "it (page Queues; segnode jobs redirect, segnode jobs discard), or add it again"
    )
