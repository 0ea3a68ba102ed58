"""The overview in a real browser: what it says, how it updates, and that it leaves nothing open."""

import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from node.web import event_streams
from tests.support.browser.busy_console import open_console
from tests.support.browser.overview_site import (
    CONFIGURATION,
    PACS_ERROR,
    add_activity,
    add_job,
    add_problems,
    deliver,
    fail_delivery,
    run_worker,
)
from tests.support.browser.windows import Scheme, windows_and_schemes
from tests.support.servers.served_node import ServedNode, running_worker, served_node
from tests.support.waiting import until

STREAM = "/events/overview"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with served_node(tmp_path, CONFIGURATION) as served, running_worker(served):
        run_worker(served)
        yield served


@pytest.fixture
def overview(page: Page, node: ServedNode) -> Iterator[Page]:
    with open_console(page, f"{node.url}/overview") as opened:
        yield opened


def wait_for_stream(page: Page) -> None:
    """Waits until the stream updates the page."""
    until(lambda: page.evaluate("streaming"), 20, "the stream")


def open_stream(stack: ExitStack, node: ServedNode) -> Generator[str]:
    """Opens a stream until the stack ends; returns what follows its first lines."""
    answer = stack.enter_context(httpx.stream("GET", f"{node.url}{STREAM}"))
    parts = cast("Generator[str]", answer.iter_text())
    # An iterator that is deleted closes the connection.
    stack.callback(parts.close)
    assert next(parts).startswith("retry:")
    return parts


def test_a_node_without_problems_says_so_in_one_sentence(overview: Page) -> None:
    expect(overview.get_by_text("All is well: the node is ready to receive.")).to_be_visible()
    expect(overview.get_by_role("list", name="Problems")).to_have_count(0)


def test_the_figures_of_a_working_site(node: ServedNode, overview: Page) -> None:
    add_activity(node)
    expect(
        overview.get_by_text("All is well: 8 series received and 8 results delivered today.")
    ).to_be_visible()
    counts = overview.get_by_role("table")
    expect(counts.get_by_role("row", name="Delivered")).to_have_text("Delivered88")
    times = overview.get_by_role("region", name="From last image to delivery")
    expect(times).to_contain_text("79 s")
    expect(times).to_contain_text("104 s")
    expect(overview.get_by_role("region", name="Last image of each")).to_contain_text("CT_ROOM_1")
    expect(overview.get_by_role("region", name="Destinations")).to_contain_text("Reachable")
    machine = overview.get_by_role("region", name="Workers and machine")
    expect(machine).to_contain_text("NVIDIA H100 (cuda:0)")
    expect(machine).to_contain_text("6.0 GiB of 80.0 GiB used")
    expect(machine).to_contain_text("free")


def test_problems_are_listed_by_urgency_with_their_remedy(tmp_path: Path, page: Page) -> None:
    with served_node(tmp_path, CONFIGURATION) as node:
        add_activity(node)
        add_problems(node)
        with open_console(page, f"{node.url}/overview"):
            items = page.locator(".problem-item")
            expect(items).to_have_count(5)
            texts = items.all_inner_texts()
            page.goto("about:blank")
    assert "The worker is not running" in texts[0]
    assert "Start the node" in texts[0]
    for text, urgency in zip(texts, ("Urgent", *["To do"] * 3, "To check"), strict=True):
        assert text.startswith(urgency)
    assert any(PACS_ERROR in text and "Since" in text for text in texts)


def test_a_stopped_job_leads_to_its_series(node: ServedNode, overview: Page) -> None:
    add_problems(node)
    overview.get_by_role("link", name="Open").click()
    expect(overview.get_by_role("heading", name="Series", exact=False).first).to_be_visible()
    assert "/series/1.2.840.99.110#job-" in overview.url


def test_a_failing_destination_and_its_recovery_appear_without_a_reload(
    node: ServedNode, overview: Page
) -> None:
    overview.evaluate("window.sameDocument = true")
    job = add_job(node, 1, "CT1", datetime.now(UTC) - timedelta(minutes=9))
    fail_delivery(node, job, "pacs", since=datetime.now(UTC) - timedelta(minutes=8))
    problem = overview.get_by_text("The destination pacs does not take results")
    expect(problem).to_be_visible()
    destination = overview.locator("#destination-pacs")
    expect(destination).to_contain_text("Failing")
    expect(destination).to_contain_text("1 waiting, next attempt in")
    deliver(node, job, datetime.now(UTC))
    expect(problem).to_be_hidden()
    expect(destination).to_contain_text("Reachable")
    assert overview.evaluate("window.sameDocument") is True
    assert overview.evaluate("streaming") is True


def test_the_list_of_series_names_a_failing_destination(node: ServedNode, page: Page) -> None:
    add_problems(node)
    page.goto(node.url)
    expect(page.get_by_role("alert")).to_contain_text("The destination pacs does not take results")


def test_the_page_works_without_scripts(browser: Browser, node: ServedNode) -> None:
    add_problems(node)
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{node.url}/overview")
    expect(plain.get_by_text("The destination pacs does not take results")).to_be_visible()
    context.close()


def test_an_open_page_reconnects_to_a_restarted_server(page: Page, tmp_path: Path) -> None:
    with ExitStack() as first:
        node = first.enter_context(served_node(tmp_path, CONFIGURATION))
        page.goto(f"{node.url}/overview")
        wait_for_stream(page)
        port = int(node.url.rpartition(":")[2])
    expect(page.get_by_role("status").filter(has_text="does not answer")).to_be_visible(
        timeout=20_000
    )
    with served_node(tmp_path, CONFIGURATION, port=port) as node:
        wait_for_stream(page)
        add_activity(node)
        expect(page.locator("#destination-pacs")).to_contain_text("Reachable", timeout=20_000)
        expect(page.get_by_role("status").filter(has_text="does not answer")).to_be_hidden()
        page.goto("about:blank")


def test_a_hidden_page_gives_its_stream_back(node: ServedNode, overview: Page) -> None:
    wait_for_stream(overview)
    overview.evaluate(
        """() => { Object.defineProperty(document, 'hidden', {value: true});
                   document.dispatchEvent(new Event('visibilitychange')); }"""
    )
    until(lambda: node.open_streams() == 0, 10, "the stream to end")


def test_streams_that_are_closed_leave_no_connection_and_no_thread(node: ServedNode) -> None:
    httpx.get(f"{node.url}/overview")
    before = threading.active_count()
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(20):
                open_stream(stack, node)
            assert node.open_streams() == 20
        until(lambda: node.open_streams() == 0, 10, "the streams to end")
    # Rendering uses the server's pool of threads, one render at a time.
    assert threading.active_count() <= before + 3


def test_too_many_streams_are_refused_until_one_ends(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_streams, "MAX_STREAMS", 1)
    with ExitStack() as stack:
        open_stream(stack, node)
        refused = httpx.get(f"{node.url}{STREAM}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    until(lambda: node.open_streams() == 0, 10, "the stream to end")
    with httpx.stream("GET", f"{node.url}{STREAM}") as again:
        assert again.status_code == 200


def test_a_server_that_stops_ends_the_streams(tmp_path: Path) -> None:
    with served_node(tmp_path, CONFIGURATION) as node, ExitStack() as stack:
        parts = open_stream(stack, node)
        node.close_streams()
        for _ in parts:
            pass  # it ends
        assert node.open_streams() == 0


@pytest.mark.parametrize(("window", "scheme"), windows_and_schemes())
def test_the_overview_is_accessible_and_fits(
    browser: Browser, tmp_path: Path, window: ViewportSize, scheme: Scheme
) -> None:
    # The checker is a script, which the page's own policy keeps out.
    context = browser.new_context(bypass_csp=True, viewport=window, color_scheme=scheme)
    page = context.new_page()
    with served_node(tmp_path, CONFIGURATION) as node:
        for fill in (lambda _node: None, add_activity, add_problems):
            fill(node)
            page.goto(f"{node.url}/overview")
            wait_for_stream(page)
            results = Axe().run(page)
            assert results.violations_count == 0, results.generate_report()
            assert page.evaluate("document.documentElement.scrollWidth") <= window["width"]
        context.close()
