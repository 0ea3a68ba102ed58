"""The list of series in a real browser: search, tabs with counts, pages, and its layout."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from node.domain.job import JobState
from node.domain.series import SeriesState
from node.maintenance.search_index import SearchIndex
from tests.support.browser.busy_console import CONFIGURATION, open_console
from tests.support.browser.windows import DESKTOP, PHONE, Scheme, windows_and_schemes
from tests.support.dicom.small_ct import small_ct
from tests.support.factories import job_of
from tests.support.many_series import insert_series
from tests.support.servers.served_node import ServedNode, served_node

SERIES = 130
PER_PAGE = 50
ROWS = "tr[id^=series-]"
WEB = "\n[web]\nsearch_patients = true\n"
# A value that is read with the label of another organ is a danger to a patient.
MEASUREMENTS: dict[str, dict[str, float | bool]] = {
    "Right kidney": {"volume_ml": 111.0, "cut_by_series": True},
    "Left kidney": {"volume_ml": 158.0, "cut_by_series": False, "mean_hu": 101.0},
    "Inferior vena cava": {"volume_ml": 33.0, "cut_by_series": True, "mean_hu": 140.0},
}
VOLUMES = [
    "Right kidney at least 111 mL",
    "Left kidney 158 mL",
    "Inferior vena cava at least 33 mL",
]
# The boxes of each label and of its value, in document order.
BOXES = """all => all.map(pair => [...pair.querySelectorAll('dt, dd')].map(e => {
    const value = e.querySelector('.volume') ?? e;
    const range = document.createRange();
    range.selectNodeContents(value);
    const lines = [...range.getClientRects()];
    const [line] = lines;
    return {left: line.left, right: Math.max(...lines.map(r => r.right)), top: line.top,
            bottom: line.bottom, end: Math.max(...lines.map(r => r.bottom)), lines: lines.length};
}))"""
# A row has two lines and the space around them.
MAX_ROW_PX = 72


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """A node with many series and one whose organs are measured."""
    folder = tmp_path_factory.mktemp("node")
    with served_node(folder, CONFIGURATION + WEB) as served:
        insert_series(served.store, range(SERIES))
        measure_kidneys(served, folder)
        yield served


def measure_kidneys(node: ServedNode, folder: Path) -> None:
    """Receives a series, which is the newest, and delivers its volumes."""
    series = node.receive(small_ct(), folder / "ct", peer="CT_ROOM_1")
    now = datetime.now(UTC)
    job = replace(job_of(series.series_instance_uid), study_instance_uid=series.study_instance_uid)
    node.store.record_decision(
        series.series_instance_uid,
        '{"matches": []}',
        SeriesState.ACCEPTED,
        now,
        series.instance_count,
        jobs=[job],
    )
    node.store.change_job(job.job_id, JobState.RUNNING, now)
    node.store.add_deliveries(job.job_id, ["archive"], now)
    node.store.change_job(job.job_id, JobState.DELIVERING, now, measurements=MEASUREMENTS)
    SearchIndex(node.store, keeps_patients=True, now=lambda: now).poll()


@pytest.fixture(scope="module")
def site(browser: Browser, node: ServedNode) -> Iterator[Page]:
    """The list of the node, on one page for all tests."""
    context = browser.new_context(viewport=DESKTOP)
    with open_console(context.new_page(), node.url) as opened:
        yield opened
    context.close()


def listed(page: Page, url: str) -> list[str]:
    """Returns the identifiers of the rows, from the page at `url` to the last one."""
    found: list[str] = []
    address: str | None = url
    while address is not None:
        page.goto(address)
        found += page.locator(ROWS).evaluate_all("all => all.map(e => e.id)")
        older = page.locator("#page-older").all()
        address = older[0].evaluate("e => e.href") if older else None
    return found


def test_each_tab_lists_as_many_series_as_it_counts(site: Page, node: ServedNode) -> None:
    site.goto(node.url)
    tabs = {
        str(tab.get_attribute("href")): int(tab.locator("b").inner_text())
        for tab in site.locator(".filter").all()
    }
    assert tabs["/"] == SERIES + 1
    for address, count in tabs.items():
        found = listed(site, f"{node.url}{address}")
        assert len(set(found)) == len(found) == count, address


def test_pages_lead_forwards_and_backwards(site: Page, node: ServedNode) -> None:
    site.goto(node.url)
    first = site.locator(ROWS).first.get_attribute("id")
    expect(site.locator(ROWS)).to_have_count(PER_PAGE)
    site.get_by_role("link", name="Older series").click()
    expect(site.locator(ROWS)).to_have_count(PER_PAGE)
    assert site.locator(ROWS).first.get_attribute("id") != first
    site.get_by_role("link", name="Newer series").click()
    expect(site.locator(ROWS).first).to_have_attribute("id", str(first))
    expect(site.get_by_role("link", name="Newer series")).to_have_count(0)


def test_a_patient_is_found_and_the_tabs_count_what_is_found(site: Page, node: ServedNode) -> None:
    site.goto(node.url)
    site.get_by_role("searchbox").fill("müller12, h")
    site.get_by_role("button", name="Search").click()
    expect(site.locator(ROWS)).to_have_count(3)
    study = site.get_by_role("rowheader")
    expect(study).to_have_count(1)
    expect(study).to_contain_text("Müller12 Hans · P0000012")
    expect(study).to_contain_text("accession A0000012")
    expect(site.get_by_role("link", name="All 3")).to_be_visible()
    site.get_by_role("link", name="Ignored 1").click()
    expect(site.locator(ROWS)).to_have_count(1)
    expect(site.get_by_role("searchbox")).to_have_value("müller12, h")
    site.get_by_role("link", name="Clear search").click()
    expect(site.locator(ROWS)).to_have_count(PER_PAGE)


def test_a_search_by_field_keeps_its_fields_open(site: Page, node: ServedNode) -> None:
    site.goto(node.url)
    site.get_by_text("Search by field").click()
    site.get_by_label("Accession number", exact=True).fill("a0000017")
    site.get_by_label("Sender", exact=True).fill("CT4")
    site.get_by_role("button", name="Search").click()
    expect(site.locator(ROWS)).to_have_count(1)
    expect(site.get_by_label("Sender", exact=True)).to_have_value("CT4")
    site.get_by_label("Sender", exact=True).fill("nobody")
    site.get_by_role("button", name="Search").click()
    expect(site.get_by_text("No series matches the search.")).to_be_visible()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["1280", "390"])
def test_a_volume_is_read_after_its_own_label_in_one_line(
    site: Page, node: ServedNode, viewport: ViewportSize
) -> None:
    site.set_viewport_size(viewport)
    site.goto(node.url)
    row = site.locator(ROWS).first
    row.locator(".cell-volume summary").click()
    expect(row.get_by_text("Left kidney")).to_be_visible()
    assert " ".join(row.locator("dl").all_inner_texts()).split() == " ".join(VOLUMES).split()
    check_volumes(row.locator(".volume-list div"))
    site.goto(f"{node.url}{row.locator('.main-link').get_attribute('href')}")
    check_volumes(site.locator(".volumes > div"))


def test_open_details_stay_open_after_the_first_update(site: Page, node: ServedNode) -> None:
    site.goto(node.url)
    details = site.locator(f"{ROWS} .cell-volume details").first
    details.locator("summary").click()
    details.evaluate("e => { e.mark = true; }")
    for _ in range(2):  # the second one starts after the first has been shown
        with site.expect_response("**/fragments/series*"):
            pass
    expect(details).to_have_attribute("open", "")
    assert details.evaluate("e => e.mark === true")


def check_volumes(pairs: Locator) -> None:
    """Checks that each value is right of its label, in its first line, above the next label."""
    expect(pairs).to_have_count(len(VOLUMES))
    end = 0.0
    for label, value in pairs.evaluate_all(BOXES):
        assert label["right"] <= value["left"], "the label comes first"
        assert min(label["bottom"], value["bottom"]) > max(label["top"], value["top"])
        assert value["lines"] == 1
        assert min(label["top"], value["top"]) >= end - 1, "the next organ is below"
        end = max(label["end"], value["end"])


def test_a_row_has_two_lines_and_shows_the_main_organ_with_its_model(
    site: Page, node: ServedNode
) -> None:
    site.set_viewport_size(DESKTOP)
    site.goto(node.url)
    row = site.locator(ROWS).first
    cell = row.locator(".cell-volume")
    expect(cell.locator("dl.main")).to_have_text("Right kidney at least 111 mL")
    expect(cell.locator("summary")).to_contain_text("liver-ct 1.0, 2 more")
    expect(cell.get_by_text("Left kidney")).to_be_hidden()
    heights = site.locator(ROWS).evaluate_all("all => all.map(e => e.offsetHeight)")
    assert max(heights) <= MAX_ROW_PX


@pytest.mark.parametrize(("window", "scheme"), windows_and_schemes())
def test_the_list_and_its_search_have_no_accessibility_violations(
    site: Page, node: ServedNode, window: ViewportSize, scheme: Scheme
) -> None:
    site.set_viewport_size(window)
    site.emulate_media(color_scheme=scheme)
    site.goto(f"{node.url}/?description=abdomen")
    site.locator(".rest summary").first.click()
    found = Axe().run(site)
    assert found.violations_count == 0, found.generate_report()
    assert site.evaluate("document.documentElement.scrollWidth") <= window["width"]


def test_a_search_is_the_same_by_rest_with_links_to_its_other_pages(node: ServedNode) -> None:
    with httpx.Client(base_url=node.url) as client:
        first = client.get("/api/series", params={"state": ["ignored"], "limit": 20})
        assert len(first.json()) == 20
        assert {tuple(s["listed_under"]) for s in first.json()} == {("ignored",)}
        second = client.get(first.links["next"]["url"])
        assert {"next", "prev"} >= set(second.links)
        assert client.get(second.links["prev"]["url"]).json() == first.json()
        (found,) = client.get("/api/series", params={"q": "1.2.840.1.17"}).json()
        assert found["patient_name"] == "Müller5^Hans"
        assert client.get("/api/series", params={"older": "x"}).status_code == 400
        assert client.get("/api/series", params={"q": "a\0"}).status_code == 422
        assert client.get("/api/series", params={"from": "soon"}).status_code == 422


def test_a_site_that_searches_no_patients_says_so(tmp_path: Path) -> None:
    with served_node(tmp_path) as node:
        insert_series(node.store, range(4))
        page = httpx.get(node.url)
        assert "Müller" not in page.text
        assert "search_patients = true" in page.text
        refused = httpx.get(f"{node.url}/api/series", params={"patient": "Müller"})
        assert refused.status_code == 400
        assert "search_patients = true" in refused.json()["message"]
        assert httpx.get(f"{node.url}/api/series", params={"q": "Müller"}).json() == []
