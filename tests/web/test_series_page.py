"""The series page in a real browser: discarding, the history, and what was delivered where."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from node.domain.delivery import DeliveryKey, Receipt
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.result_objects import NOTICE
from tests.support.browser.busy_console import CONFIGURATION, open_console
from tests.support.browser.overview_site import add_series
from tests.support.factories import job_of
from tests.support.servers.served_node import ServedNode, served_node

_STUDY = Uid("1.2")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("node"), CONFIGURATION) as served:
        yield served


def queued_job(node: ServedNode, number: int) -> Job:
    """Adds a series without files, and its queued job."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    uid = add_series(node, number, "CT_ROOM_1", now)
    job = replace(job_of(uid, job_id=f"{number:032d}"), created_at=now, updated_at=now)
    assert node.store.add_job(job)
    return job


def open_series(page: Page, node: ServedNode, job: Job) -> None:
    page.goto(f"{node.url}/series/{job.series_instance_uid}")


def test_discarding_asks_for_a_reason_and_it_is_kept(page: Page, node: ServedNode) -> None:
    job = queued_job(node, 1)
    node.store.change_job(job.job_id, JobState.PARKED, datetime.now(UTC), reason="the disk is full")
    with open_console(page, f"{node.url}/series/{job.series_instance_uid}"):
        confirm = page.get_by_role("button", name="Discard liver-ct for good")
        expect(confirm).to_be_hidden()
        page.get_by_text("Discard liver-ct…").click()
        confirm.click()  # the browser asks for the reason
        assert node.store.history_of(job.job_id)[-1].event == "job.parked"
        page.get_by_label("Reason").fill("repeated scan")
        confirm.click()
        trail = page.get_by_role("region", name="What happened")
        expect(trail).to_contain_text("Discarded by console (127.0.0.1): repeated scan")
        panel = page.get_by_role("region", name="liver-ct")
        expect(panel.locator(".badge use").first).to_have_attribute(
            "href", "/static/states.svg#discarded"
        )


def test_a_refusal_notice_is_shown_like_any_delivery(page: Page, node: ServedNode) -> None:
    job = queued_job(node, 2)
    now = datetime.now(UTC)
    key = str(DeliveryKey("pacs", NOTICE))
    node.store.change_job(job.job_id, JobState.RUNNING, now)
    node.store.add_deliveries(job.job_id, [key], now)
    notice = node.settings.data_dir / "notice.dcm"
    reason = "the series has 3 slices; the model needs at least 10"
    node.store.change_job(job.job_id, JobState.DELIVERING, now, reason=reason, result_path=notice)
    node.store.record_receipt(job.job_id, key, Receipt("pacs", "stored by PACS@h:104"), now)
    node.store.change_job(job.job_id, JobState.REFUSED, now, reason=reason)
    open_series(page, node, job)
    panel = page.get_by_role("region", name="liver-ct")
    expect(panel.get_by_role("listitem").filter(has_text="pacs")).to_contain_text("refusal notice")
    expect(panel).to_contain_text("Delivered")
    expect(panel).to_contain_text("stored by PACS@h:104")
    trail = page.get_by_role("region", name="What happened")
    expect(trail).to_contain_text("Delivered refusal notice to pacs: stored by PACS@h:104")
    page.goto(node.url)
    row = page.get_by_role("row").filter(has_text="Refused")
    expect(row).to_contain_text("pacs refusal notice delivered")
