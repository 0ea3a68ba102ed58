"""The page of queues in a real browser: what waits, and what people do with it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from node.domain.delivery import DeliveryState
from node.domain.job import Job, JobState
from node.domain.queues.pause import INFERENCE, Pause, Queue
from node.domain.queues.selection import Interface
from tests.support.browser.busy_console import open_console
from tests.support.browser.overview_site import (
    CONFIGURATION,
    PACS_ERROR,
    add_job,
    fail_delivery,
)
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.waiting import until

NUMBERS = count(1)
REFUSAL = "the PACS refuses the object: SOP class not supported"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site"), CONFIGURATION) as served:
        yield served


@pytest.fixture
def queues(page: Page, node: ServedNode) -> Iterator[Page]:
    with open_console(page, f"{node.url}/queues") as opened:
        yield opened


def add_failing(node: ServedNode, *, parked: bool = False) -> Job:
    """Adds a job whose delivery to the PACS has failed, or was given up."""
    now = datetime.now(UTC)
    job = add_job(node, next(NUMBERS), "CT1", now - timedelta(minutes=9))
    fail_delivery(node, job, "pacs", since=now - timedelta(minutes=8))
    if parked:
        node.store.park_delivery(job.job_id, "pacs", now, error=REFUSAL)
    return job


def state(node: ServedNode, job: Job, key: str = "pacs") -> DeliveryState:
    found = node.store.get_delivery(job.job_id, key)
    assert found is not None
    return found.state


def test_ticked_deliveries_are_discarded_after_a_question_for_the_reason(
    queues: Page, node: ServedNode
) -> None:
    job, other = add_failing(node), add_failing(node, parked=True)
    pacs = queues.get_by_role("region", name="pacs")
    expect(pacs).to_contain_text("given up")
    expect(pacs).to_contain_text(PACS_ERROR)
    expect(pacs).to_contain_text("The PACS refuses the object")
    pick = queues.locator(f"[id='pick-{job.job_id}:pacs']")
    pick.check()
    kept = add_failing(node)
    expect(pacs).to_contain_text(f"Job {kept.job_id[:8]}")
    expect(pick).to_be_checked()  # after an update of the page
    pacs.get_by_role("button", name="Discard").click()
    expect(queues.get_by_role("heading", name="Discard this delivery?")).to_be_visible()
    button = queues.get_by_role("button", name="Discard the delivery")
    button.click()
    assert state(node, job) is DeliveryState.WAITING, "the reason is required"
    queues.get_by_label("Reason").fill("sent by hand")
    button.click()
    expect(queues.get_by_role("heading", name="Queues")).to_be_visible()
    assert state(node, job) is DeliveryState.DISCARDED
    assert (state(node, other), state(node, kept)) == (
        DeliveryState.PARKED,
        DeliveryState.WAITING,
    )
    assert (
        node.store.history_of(job.job_id)[-1].detail == "pacs: by console (127.0.0.1): sent by hand"
    )


def test_all_deliveries_of_a_destination_are_retried(queues: Page, node: ServedNode) -> None:
    jobs = [add_failing(node), add_failing(node, parked=True)]
    pacs = queues.get_by_role("region", name="pacs")
    pacs.get_by_label("All").check()
    pacs.get_by_role("button", name="Retry now").click()
    requested = {request.name.job_id for request in node.store.delivery_requests(100)}
    assert {job.job_id for job in jobs} <= requested
    assert {state(node, job) for job in jobs} == {DeliveryState.WAITING}


def test_a_delivery_is_redirected_on_the_page_of_its_series(queues: Page, node: ServedNode) -> None:
    job = add_failing(node, parked=True)
    queues.goto(f"{node.url}/series/{job.series_instance_uid}")
    queues.get_by_role("link", name="Redirect… segmentation to pacs").click()
    queues.get_by_label("Send to").select_option("archive")
    queues.get_by_role("button", name="Redirect").click()
    expect(queues.get_by_role("listitem").filter(has_text="redirected to archive")).to_contain_text(
        "Discarded"
    )
    expect(queues.get_by_text("Delivery redirected")).to_be_visible()
    assert state(node, job) is DeliveryState.DISCARDED


def test_a_delivery_is_retried_on_the_page_of_its_series(queues: Page, node: ServedNode) -> None:
    job = add_failing(node, parked=True)
    queues.goto(f"{node.url}/series/{job.series_instance_uid}")
    queues.get_by_role("button", name="Retry now segmentation to pacs").click()
    until(lambda: state(node, job) is DeliveryState.WAITING, 20, "the retry")
    expect(queues.get_by_text("Delivery will be retried")).to_be_visible()


def test_nothing_selected_is_explained(page: Page, node: ServedNode) -> None:
    add_failing(node)
    page.goto(f"{node.url}/queues")
    page.get_by_role("region", name="pacs").get_by_role("button", name="Discard").click()
    expect(page.get_by_text("No delivery is selected: tick some")).to_be_visible()


def test_a_destination_is_paused_and_resumed_from_the_overview(
    queues: Page, node: ServedNode
) -> None:
    pacs = queues.get_by_role("region", name="pacs")
    pacs.get_by_text("Pause pacs…").click()
    pacs.get_by_label("Reason").fill("the PACS is upgraded")
    pacs.get_by_role("button", name="Pause pacs").click()
    expect(pacs.get_by_text("Paused since")).to_contain_text("The PACS is upgraded.")
    assert node.store.pauses()[Queue.of_destination("pacs")].reason == "the PACS is upgraded"
    expect(queues.get_by_role("region", name="Latest pauses")).to_contain_text(
        "the destination pacs, by console (127.0.0.1): the PACS is upgraded"
    )
    queues.goto(f"{node.url}/overview")
    notice = queues.locator(".problem-item.notice")
    expect(notice).to_contain_text("The destination pacs is paused")
    expect(queues.locator("#destination-pacs")).to_contain_text("Paused")
    notice.get_by_role("button", name="Resume pacs").click()
    expect(notice).to_have_count(0)
    assert node.store.pauses() == {}
    queues.goto("about:blank")


def test_the_inference_is_paused_and_resumed(queues: Page, node: ServedNode) -> None:
    inference = queues.get_by_role("region", name="Inference")
    inference.get_by_text("Pause the inference…").click()
    inference.get_by_label("Reason").fill("a new graphics card")
    inference.get_by_role("button", name="Pause").click()
    expect(inference.get_by_text("Paused since")).to_contain_text("A new graphics card.")
    inference.get_by_role("button", name="Resume").click()
    expect(inference.get_by_text("Paused since")).to_have_count(0)
    assert node.store.pauses() == {}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_pages_are_accessible_and_fit(
    browser: Browser, node: ServedNode, width: int, scheme: Literal["light", "dark"]
) -> None:
    job = add_failing(node)
    add_failing(node, parked=True)
    now = datetime.now(UTC)
    node.store.pause_queue(Pause(INFERENCE, now, Interface.CLI, "a new graphics card"))
    stopped = add_failing(node, parked=True)
    node.store.change_job(stopped.job_id, JobState.PARKED, now, reason="not delivered")
    context = browser.new_context(
        bypass_csp=True,  # the checker is a script, which the page's own policy keeps out
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
    )
    page = context.new_page()
    for path in (
        "queues",
        f"queues/discard?delivery={job.job_id}:pacs",
        "queues/redirect?destination=pacs&all=1",
        f"series/{job.series_instance_uid}",
    ):
        page.goto(f"{node.url}/{path}")
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
    node.store.resume_queue(INFERENCE, now, Interface.CLI)
