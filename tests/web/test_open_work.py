"""What the console says about open work: removed destinations, accession numbers, attempts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest

from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from tests.support.browser.overview_site import CONFIGURATION, PACS_ERROR, add_job, fail_delivery
from tests.support.factories import job_of
from tests.support.many_series import insert_series, series_uid
from tests.support.servers.served_node import ServedNode, served_node

NUMBERS = count(1)
REMEDY = (
    "The configuration no longer has a destination 'old': redirect or discard what waits for it "
    "(page Queues; segnode jobs redirect, segnode jobs discard), or add it again."
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site"), CONFIGURATION) as served:
        yield served


@pytest.fixture
def job(node: ServedNode) -> Job:
    """A job that is being delivered to both destinations."""
    return add_job(node, next(NUMBERS), "CT1", datetime.now(UTC) - timedelta(minutes=9))


def text_of(node: ServedNode, path: str) -> str:
    answer = httpx.get(f"{node.url}{path}")
    assert answer.status_code == 200
    return answer.text.replace("&#39;", "'")


def test_a_result_for_a_removed_destination_says_what_to_do(node: ServedNode, job: Job) -> None:
    now = datetime.now(UTC)
    node.store.add_deliveries(job.job_id, ["old"], now)
    page = text_of(node, f"/series/{job.series_instance_uid}")
    assert page.count(REMEDY) == 1
    # An error of the time when the destination existed does not hide it.
    node.store.park_delivery(job.job_id, "old", now, error=PACS_ERROR)
    page = text_of(node, f"/series/{job.series_instance_uid}")
    assert page.count(REMEDY) == 1


def test_rows_of_queues_have_the_accession_number(node: ServedNode, job: Job) -> None:
    insert_series(node.store, range(1, 2))
    queued = replace(job_of(Uid(series_uid(1)), job_id="withnumber"), state=JobState.QUEUED)
    assert node.store.add_job(queued)
    page = text_of(node, "/queues")
    (row,) = (each for each in page.split("<li ") if each.startswith('id="queued-withnumber"'))
    assert "accession A0000000" in row
    (other,) = (
        each for each in page.split("<li ") if each.startswith(f'id="delivery-{job.job_id}:pacs"')
    )
    assert "accession" not in other
    node.store.change_job("withnumber", JobState.RUNNING, datetime.now(UTC))
    node.store.add_deliveries("withnumber", ["pacs"], datetime.now(UTC))
    node.store.change_job("withnumber", JobState.DELIVERING, datetime.now(UTC))
    page = text_of(node, "/queues")
    (row,) = (
        each for each in page.split("<li ") if each.startswith('id="delivery-withnumber:pacs"')
    )
    assert "accession A0000000" in row


def test_failed_attempts_are_one_entry_of_the_history(node: ServedNode, job: Job) -> None:
    fail_delivery(node, job, "pacs", since=datetime.now(UTC) - timedelta(minutes=8))
    page = text_of(node, f"/series/{job.series_instance_uid}")
    trail = page[page.index('id="trail"') :]
    assert "<summary>2 earlier attempts that failed</summary>" in trail
    assert trail.count("Delivery failed; will be retried") == 3
    before, _, after = trail.partition("<details")
    assert before.count("Delivery failed; will be retried") == 1
    assert after.count("Delivery failed; will be retried") == 2
