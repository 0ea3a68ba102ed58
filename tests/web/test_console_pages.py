"""The console's other pages, layout and contrast in a real browser."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from node.dicom.ct_writer import CtDescription
from node.domain.series import SeriesState, StoredSeries
from tests.support.browser.busy_console import (
    CONFIGURATION,
    accept,
    decide_series,
    park,
)
from tests.support.dicom.builders import ct_series
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.waiting import until

# Text of normal size needs this (WCAG 2.1, 1.4.3).
_MIN_CONTRAST = 4.5
_CONTRASTS = """() => [...document.querySelectorAll('.badge, .minor, .problem, .filter')].map(e => {
    const channel = v => v <= 10 ? v / 3294.6 : ((v / 255 + .055) / 1.055) ** 2.4;
    const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const solid = n => { const c = rgb(getComputedStyle(n).backgroundColor);
        return c.length === 4 && c[3] === 0 ? solid(n.parentElement) : c; };
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(solid(e))].sort((x, y) => y - x);
    return [e.textContent.trim(), (a + .05) / (b + .05)];
})"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served:
        yield served


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A series of 24 slices that has just been received."""
    return node.receive(ct_series(), tmp_path / "ct", peer="CT_ROOM_1")


def test_the_series_page_shows_the_failed_condition_and_the_actual_value(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    assert decide_series(node, series) is SeriesState.IGNORED
    console.get_by_role("link", name="Why was series").click()
    decision = console.get_by_role("region", name="Why: the rules’ decision")
    expect(decision).to_contain_text("Rule “abdomen” did not match")
    expect(decision.locator(".failed").last).to_contain_text("at least 30 slices has 24")
    expect(decision.locator(".held")).to_contain_text("Modality equals CT is CT")


def test_the_series_page_shows_stages_picture_audit_trail_and_download(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = node.finish_job(accept(node, series))
    console.goto(f"{node.url}/jobs/{job.job_id}")
    shown = console.get_by_role("region", name="liver-ct")
    for stage in ("Reading the images", "Segmenting", "Measuring", "Writing the DICOM SEG"):
        expect(shown.get_by_role("row", name=stage)).to_be_visible()
    expect(shown.get_by_role("img", name="Slices of the CT")).to_be_visible()
    expect(console.get_by_role("region", name="What happened")).to_contain_text("Result complete")
    with console.expect_download() as download:
        shown.get_by_role("link", name="Download the DICOM SEG").click()
    assert Path(download.value.path()).read_bytes()[128:132] == b"DICM"


def test_open_details_stay_open_after_an_update(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = accept(node, series)
    node.store.add_event(datetime.now(UTC), job.job_id, "defect", "Traceback:\nValueError: 3")
    console.goto(f"{node.url}/series/{series.series_instance_uid}")
    console.get_by_text("Technical details").click()
    park(node, job, "ValueError: 3")
    expect(console.get_by_role("region", name="What happened")).to_contain_text("Stopped")
    expect(console.get_by_text("Traceback:")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_states_have_text_and_a_shape_with_sufficient_contrast(
    console: Page, node: ServedNode, series: StoredSeries, tmp_path: Path, scheme: str
) -> None:
    park(node, accept(node, series), "the disk is full")
    decide_series(node, node.receive(ct_series(seed="another"), tmp_path / "other"))
    node.receive(ct_series(seed="third"), tmp_path / "third")
    console.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    expect(console.locator("tr[id^=series-]")).to_have_count(3)
    for badge in console.locator(".badge").all():
        assert badge.inner_text().strip()
        expect(badge.locator("svg")).to_have_count(1)
    shapes = console.locator(".badge use").evaluate_all("all => all.map(e => e.href.baseVal)")
    assert len(set(shapes)) == 3
    faint = [found for found in console.evaluate(_CONTRASTS) if found[1] < _MIN_CONTRAST]
    assert faint == []


def test_the_console_fits_a_narrow_window(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    node.finish_job(accept(node, series))
    console.set_viewport_size({"width": 360, "height": 740})
    for path in ("/", f"/series/{series.series_instance_uid}", "/node"):
        console.goto(f"{node.url}{path}")
        assert console.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_the_console_shows_no_patient_data_and_loads_nothing_from_other_sites(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    requested: list[str] = []
    console.on("request", lambda request: requested.append(request.url))
    node.finish_job(accept(node, series))
    patient = asdict(CtDescription())
    for path in ("/", f"/series/{series.series_instance_uid}", "/node"):
        console.goto(f"{node.url}{path}")
        text = console.content()
        assert patient["patient_name"] not in text
        assert patient["patient_id"] not in text
    until(lambda: any("/static/console.css" in url for url in requested), 5, "the style sheet")
    assert [url for url in requested if not url.startswith(node.url)] == []


def test_this_node_describes_the_configuration(console: Page) -> None:
    console.get_by_role("link", name="Configuration").click()
    pages = console.get_by_role("navigation", name="Pages about the configuration")
    pages.get_by_role("link", name="This node").click()
    expect(pages.locator("[aria-current=page]")).to_have_text("This node")
    expect(console.get_by_text("edit the file")).to_contain_text("segnode reload")
    expect(console.get_by_role("region", name="It receives")).to_contain_text("LIVERNODE")
    rules = console.get_by_role("region", name="It decides")
    expect(rules).to_contain_text("Rule “abdomen”")
    expect(rules).to_contain_text("at least 30 slices")
    expect(console.get_by_role("region", name="Its models")).to_contain_text("liver-ct")


def test_an_unknown_series_shows_an_error_page(page: Page, node: ServedNode) -> None:
    answer = page.goto(f"{node.url}/series/1.2.3")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("No series 1.2.3 has been received.")).to_be_visible()


def test_a_destination_that_is_down_is_shown_with_its_next_attempt(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = node.finish_job(accept(node, series))
    now = datetime.now(UTC)
    node.store.record_failed_delivery(
        job.job_id, "archive", now, error="it is full", next_try_at=now + timedelta(minutes=10)
    )
    row = console.locator("tr[id^=series-]").first
    expect(row).to_contain_text("archive will be retried, next attempt in 10 min")
    console.get_by_role("link", name="Today").click()
    expect(console.get_by_text("It is full.")).to_be_visible()
    expect(console.get_by_text("1 attempt so far, next attempt in")).to_be_visible()
