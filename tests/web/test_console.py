"""The console in a real browser: what administrators see and press."""

import fcntl
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from node.dicom.ct_series import CtDescription
from node.domain.delivery import Receipt
from node.domain.job import Job, JobState
from node.domain.series import SeriesState, StoredSeries
from node.routing.conditions import SeriesFacts
from node.routing.decide import decide
from tests.builders import ct_series
from tests.waiting import until
from tests.web.served_node import ServedNode, served_node

# Text of normal size needs this (WCAG 2.1, 1.4.3).
_LEAST_CONTRAST = 4.5
_CONTRASTS = """() => [...document.querySelectorAll('.badge, .minor, .problem, .filter')].map(e => {
    const channel = v => v <= 10 ? v / 3294.6 : ((v / 255 + .055) / 1.055) ** 2.4;
    const light = c => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const solid = n => { const c = rgb(getComputedStyle(n).backgroundColor);
        return c.length === 4 && c[3] === 0 ? solid(n.parentElement) : c; };
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(solid(e))].sort((x, y) => y - x);
    return [e.textContent.trim(), (a + .05) / (b + .05)];
})"""
# A mark on an element that only a replacement of the element can remove.
_MARK = "e => { e.mark = true; }"
_IS_MARKED = "e => e.mark === true"

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


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served:
        yield served


@pytest.fixture
def console(page: Page, node: ServedNode) -> Iterator[Page]:
    """The list of series, open; the test fails on any error in the page."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    page.goto(node.url)
    yield page
    assert errors == []


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A series of 24 slices that has just come in."""
    return node.receive(ct_series(), tmp_path / "ct", peer="CT_ROOM_1")


def decided(node: ServedNode, series: StoredSeries) -> SeriesState:
    """Decide the series by the node's rules, as the worker does."""
    facts = SeriesFacts({"Modality": ("CT",)}, series.instance_count, "CT_ROOM_1")
    decision = decide(node.settings.rules, facts)
    state = SeriesState.ACCEPTED if decision.rules else SeriesState.IGNORED
    uid = series.series_instance_uid
    assert node.store.record_decision(
        uid, decision.to_json(), state, datetime.now(UTC), series.instance_count
    )
    return state


def accept(node: ServedNode, series: StoredSeries) -> Job:
    """Have a rule want the series; its queued job."""
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
    node.store.change_job(job.job_id, JobState.PARKED, datetime.now(UTC), reason=reason)


def test_an_empty_console_says_where_to_send_and_how_to_try(console: Page) -> None:
    expect(console.get_by_role("heading", name="Nothing has come in yet")).to_be_visible()
    expect(console.get_by_text("segnode echo LIVERNODE@localhost:11199")).to_be_visible()
    expect(console.get_by_text("segnode send LIVERNODE@localhost:11199")).to_be_visible()


def test_a_series_appears_by_itself_and_its_progress_follows(
    console: Page, node: ServedNode, tmp_path: Path
) -> None:
    console.evaluate("window.sameDocument = true")
    series = node.receive(ct_series(), tmp_path / "ct", peer="CT_ROOM_1")
    row = console.get_by_role("row").nth(1)
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
    node.store.record_receipt(job.job_id, Receipt("archive", "kept"), datetime.now(UTC))
    node.store.change_job(job.job_id, JobState.DELIVERED, datetime.now(UTC))
    row = console.get_by_role("row").nth(1)
    volume_ml = job.measurements["Liver"]["volume_ml"]
    expect(row).to_contain_text(f"{volume_ml:,.0f} mL")
    expect(row).to_contain_text("archive delivered")
    picture = row.get_by_role("img", name="Overlay picture")
    expect(picture).to_have_js_property("complete", value=True)
    assert picture.evaluate("image => image.naturalWidth") > 500
    picture.click()
    console.wait_for_url("**/picture.png?v=*")


def test_a_refusal_is_told_in_plain_words(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = accept(node, series)
    now = datetime.now(UTC)
    node.store.change_job(job.job_id, JobState.RUNNING, now)
    reason = "the series has 3 slices; the model needs at least 10"
    node.store.change_job(job.job_id, JobState.REFUSED, now, reason=reason)
    row = console.get_by_role("row").nth(1)
    expect(row).to_contain_text("Refused")
    expect(row).to_contain_text("The series has 3 slices; the model needs at least 10.")


def test_a_destination_that_is_down_is_shown_with_its_next_try(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = node.finish_job(accept(node, series))
    now = datetime.now(UTC)
    node.store.record_attempt(
        job.job_id, "archive", now, error="it is full", next_try_at=now + timedelta(minutes=10)
    )
    row = console.get_by_role("row").nth(1)
    expect(row).to_contain_text("archive will be tried again, next try in 10 min")
    console.get_by_role("link", name="Today").click()
    expect(console.get_by_text("It is full.")).to_be_visible()
    expect(console.get_by_text("1 try so far, next try in")).to_be_visible()


def test_start_now_has_the_series_decided_without_its_quiet_time(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    button = console.get_by_role("button", name="Start now")
    button.click()
    expect(console.get_by_text("A start has been asked for")).to_be_visible()
    expect(button).to_be_hidden()
    expect(console.get_by_role("link", name="Today")).to_be_focused()
    assert node.series(series.series_instance_uid).start_requested


def test_a_stopped_job_needs_attention_and_can_be_retried(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = accept(node, series)
    park(node, job, "the disk is full")
    console.get_by_role("link", name="Needs attention 1").click()
    expect(console.get_by_role("row").nth(1)).to_contain_text("The disk is full.")
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
    expect(plain.get_by_text("A start has been asked for")).to_be_visible()
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


def test_the_page_of_a_series_says_which_condition_failed_on_what_value(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    assert decided(node, series) is SeriesState.IGNORED
    console.get_by_role("link", name="Why was series").click()
    decision = console.get_by_role("region", name="Why: the rules’ decision")
    expect(decision).to_contain_text("Rule “abdomen” did not match")
    expect(decision.locator(".failed").last).to_contain_text("at least 30 slices has 24")
    expect(decision.locator(".held")).to_contain_text("Modality equals CT is CT")


def test_the_page_of_a_series_tells_stages_destinations_and_what_happened(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    job = node.finish_job(accept(node, series))
    console.goto(f"{node.url}/jobs/{job.job_id}")
    shown = console.get_by_role("region", name="liver-ct")
    for stage in ("Reading the images", "Segmenting", "Measuring", "Writing the DICOM SEG"):
        expect(shown.get_by_role("row", name=stage)).to_be_visible()
    expect(shown.get_by_role("img", name="Slices of the CT")).to_be_visible()
    expect(console.get_by_role("region", name="What happened")).to_contain_text("Result made")
    with console.expect_download() as download:
        shown.get_by_role("link", name="Download the DICOM SEG").click()
    assert Path(download.value.path()).read_bytes()[128:132] == b"DICM"


def test_an_update_leaves_alone_what_has_not_changed(
    console: Page, node: ServedNode, series: StoredSeries, tmp_path: Path
) -> None:
    button = console.get_by_role("button", name="Start now").first
    button.focus()
    button.evaluate(_MARK)
    node.receive(ct_series(seed="another"), tmp_path / "other")
    expect(console.get_by_role("row")).to_have_count(3)
    same = console.locator(f'[id="start-{series.series_instance_uid}"]')
    assert same.evaluate(_IS_MARKED)
    expect(same).to_be_focused()


def test_what_is_unfolded_stays_so(console: Page, node: ServedNode, series: StoredSeries) -> None:
    job = accept(node, series)
    node.store.audit(datetime.now(UTC), job.job_id, "defect", "Traceback:\nValueError: 3")
    console.goto(f"{node.url}/series/{series.series_instance_uid}")
    console.get_by_text("Technical details").click()
    park(node, job, "ValueError: 3")
    expect(console.get_by_role("region", name="What happened")).to_contain_text("Stopped")
    expect(console.get_by_text("Traceback:")).to_be_visible()


def test_a_lost_connection_is_told_and_ends(page: Page, node: ServedNode) -> None:
    page.goto(node.url)
    page.context.set_offline(True)
    told = page.get_by_role("status").filter(has_text="The node does not answer.")
    expect(told).to_be_visible(timeout=20_000)
    page.context.set_offline(False)
    expect(told).to_be_hidden(timeout=20_000)


def test_a_worker_that_does_not_run_is_told(console: Page, node: ServedNode) -> None:
    warning = console.get_by_role("alert").filter(has_text="The worker is not running")
    expect(warning).to_be_visible()
    with (node.settings.data_dir / "worker.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        expect(warning).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_states_are_words_with_a_shape_and_can_be_read(
    console: Page, node: ServedNode, series: StoredSeries, tmp_path: Path, scheme: str
) -> None:
    park(node, accept(node, series), "the disk is full")
    decided(node, node.receive(ct_series(seed="another"), tmp_path / "other"))
    node.receive(ct_series(seed="third"), tmp_path / "third")
    console.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    expect(console.get_by_role("row")).to_have_count(4)
    for badge in console.locator(".badge").all():
        assert badge.inner_text().strip()
        expect(badge.locator("svg")).to_have_count(1)
    shapes = console.locator(".badge use").evaluate_all("all => all.map(e => e.href.baseVal)")
    assert len(set(shapes)) == 3
    faint = [told for told in console.evaluate(_CONTRASTS) if told[1] < _LEAST_CONTRAST]
    assert faint == []


def test_the_console_fits_a_narrow_window(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    node.finish_job(accept(node, series))
    console.set_viewport_size({"width": 360, "height": 740})
    for place in ("/", f"/series/{series.series_instance_uid}", "/node"):
        console.goto(f"{node.url}{place}")
        assert console.evaluate("document.documentElement.scrollWidth") <= 360, place


def test_the_console_names_no_patient_and_loads_nothing_from_elsewhere(
    console: Page, node: ServedNode, series: StoredSeries
) -> None:
    asked: list[str] = []
    console.on("request", lambda request: asked.append(request.url))
    node.finish_job(accept(node, series))
    patient = asdict(CtDescription())
    for place in ("/", f"/series/{series.series_instance_uid}", "/node"):
        console.goto(f"{node.url}{place}")
        text = console.content()
        assert patient["patient_name"] not in text
        assert patient["patient_id"] not in text
    until(lambda: any(url.endswith("console.css?v=0.1.0") for url in asked), 5, "the style sheet")
    assert [url for url in asked if not url.startswith(node.url)] == []


def test_this_node_tells_its_configuration_in_words(console: Page) -> None:
    console.get_by_role("link", name="This node").click()
    expect(console.get_by_role("region", name="It receives")).to_contain_text("LIVERNODE")
    rules = console.get_by_role("region", name="It decides")
    expect(rules).to_contain_text("Rule “abdomen”")
    expect(rules).to_contain_text("at least 30 slices")
    expect(console.get_by_role("region", name="Its models")).to_contain_text("liver-ct")


def test_an_unknown_series_is_told_to_people_as_a_page(page: Page, node: ServedNode) -> None:
    answer = page.goto(f"{node.url}/series/1.2.3")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_text("No series 1.2.3 has been received.")).to_be_visible()


def test_a_page_that_has_not_changed_is_not_sent_again(
    node: ServedNode, series: StoredSeries
) -> None:
    first = httpx.get(f"{node.url}/fragments/series")
    again = httpx.get(
        f"{node.url}/fragments/series", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
