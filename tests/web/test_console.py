"""The console's list of series in a real browser: content and buttons."""

import fcntl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from node.domain.delivery import Receipt
from node.domain.job import JobState
from node.domain.series import StoredSeries
from tests.support.browser.busy_console import CONFIGURATION, accept, park
from tests.support.dicom.builders import ct_series
from tests.support.servers.served_node import ServedNode, served_node

# A mark on an element, lost only when the element is replaced.
_MARK = "e => { e.mark = true; }"
_IS_MARKED = "e => e.mark === true"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served:
        yield served


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A series of 24 slices that has just been received."""
    return node.receive(ct_series(), tmp_path / "ct", peer="CT_ROOM_1")


def test_an_empty_console_shows_the_address_and_the_commands_to_try_it(console: Page) -> None:
    expect(console.get_by_role("heading", name="Nothing has been received yet")).to_be_visible()
    expect(console.get_by_text("segnode echo LIVERNODE@localhost:11199")).to_be_visible()
    expect(console.get_by_text("segnode send LIVERNODE@localhost:11199")).to_be_visible()


def test_a_series_appears_and_its_progress_updates_without_a_reload(
    console: Page, node: ServedNode, tmp_path: Path
) -> None:
    console.evaluate("window.sameDocument = true")
    series = node.receive(ct_series(), tmp_path / "ct", peer="CT_ROOM_1")
    row = console.locator("tr[id^=series-]").first
    expect(row).to_contain_text("24 images")
    expect(row).to_contain_text("CT_ROOM_1 by C-STORE")
    expect(row).to_contain_text("Receiving")
    job = accept(node, series)
    expect(row).to_contain_text("Queued")
    expect(row).to_contain_text("liver-ct 1.0")
    node.store.change_job(job.job_id, JobState.RUNNING, datetime.now(UTC))
    expect(row).to_contain_text("Segmenting")
    assert console.evaluate("window.sameDocument") is True


def test_a_result_shows_its_volume_its_destinations_and_its_picture(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = node.finish_job(accept(node, series))
    node.store.record_receipt(job.job_id, "archive", Receipt("archive", "kept"), datetime.now(UTC))
    node.store.change_job(job.job_id, JobState.DELIVERED, datetime.now(UTC))
    row = console.locator("tr[id^=series-]").first
    volume_ml = job.measurements["Liver"]["volume_ml"]
    expect(row).to_contain_text(f"{volume_ml:.0f} mL")
    expect(row).to_contain_text("archive delivered")
    picture = row.get_by_role("img", name="Overlay picture")
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("image => image.naturalWidth") > 500
    picture.click()
    console.wait_for_url("**/picture.png?v=*")


def test_a_refused_series_shows_the_reason_as_a_sentence(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = accept(node, series)
    now = datetime.now(UTC)
    node.store.change_job(job.job_id, JobState.RUNNING, now)
    node.store.add_deliveries(job.job_id, job.destinations, now)
    reason = "the series has 3 slices; the model needs at least 10"
    node.store.change_job(job.job_id, JobState.REFUSED, now, reason=reason)
    row = console.locator("tr[id^=series-]").first
    expect(row).to_contain_text("Refused")
    expect(row).to_contain_text("The series has 3 slices; the model needs at least 10.")
    console.get_by_role("link", name="Today").click()
    expect(console.get_by_role("main")).to_contain_text("Refused")
    expect(console.get_by_role("main")).not_to_contain_text("Waiting")


def test_start_now_requests_the_decision_without_the_quiet_time(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    button = console.get_by_role("button", name="Start now")
    button.click()
    expect(console.get_by_text("A start has been requested")).to_be_visible()
    expect(button).to_be_hidden()
    expect(console.get_by_role("link", name="Today")).to_be_focused()
    assert node.series(series.series_instance_uid).start_requested


def test_a_stopped_job_needs_attention_and_can_be_retried(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = accept(node, series)
    park(node, job, "the disk is full")
    console.get_by_role("link", name="Needs attention 1").click()
    expect(console.locator("tr[id^=series-]").first).to_contain_text("The disk is full.")
    console.get_by_role("button", name="Retry").click()
    expect(console.get_by_text("Needs attention 0")).to_be_visible()
    retried = node.store.get_job(job.job_id)
    assert retried is not None
    assert retried.state is JobState.QUEUED


def test_the_buttons_work_without_scripts(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    browser = console.context.browser
    assert browser is not None
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(node.url)
    plain.get_by_role("button", name="Start now").click()
    expect(plain.get_by_text("A start has been requested")).to_be_visible()
    plain.context.close()


def test_the_page_of_another_site_cannot_press_the_buttons(
    page: Page, node: ServedNode, series: StoredSeries
) -> None:
    uid = series.series_instance_uid
    form = f"<form method=post action={node.url}/series/{uid}/start><button>Win</button></form>"
    page.goto(f"data:text/html,{form}")
    with page.expect_navigation() as answered:
        page.get_by_role("button").click()
    answer = answered.value
    assert answer is not None
    assert answer.status == 403
    assert not node.series(uid).start_requested


def test_an_update_keeps_unchanged_elements_and_the_focus(
    console: Page, node: ServedNode, series: StoredSeries, tmp_path: Path
) -> None:
    button = console.get_by_role("button", name="Start now").first
    button.focus()
    button.evaluate(_MARK)
    node.receive(ct_series(seed="another"), tmp_path / "other")
    expect(console.locator("tr[id^=series-]")).to_have_count(2)
    same = console.locator(f'[id="start-{series.series_instance_uid}"]')
    assert same.evaluate(_IS_MARKED)
    expect(same).to_be_focused()


def test_a_lost_connection_is_reported_until_it_is_restored(page: Page, node: ServedNode) -> None:
    page.goto(node.url)
    page.context.set_offline(True)
    warning = page.get_by_role("status").filter(has_text="The node does not answer.")
    expect(warning).to_be_visible(timeout=20_000)
    page.context.set_offline(False)
    expect(warning).to_be_hidden(timeout=20_000)


def test_a_worker_that_does_not_run_is_reported(console: Page, node: ServedNode) -> None:
    warning = console.get_by_role("alert").filter(has_text="The worker is not running")
    expect(warning).to_be_visible()
    with (node.settings.data_dir / "worker.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        expect(warning).to_be_hidden()


def test_a_page_that_has_not_changed_is_not_sent_again(
    node: ServedNode, series: StoredSeries
) -> None:
    first = httpx.get(f"{node.url}/fragments/series")
    again = httpx.get(
        f"{node.url}/fragments/series", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
