"""A new administrator connects a node to Orthanc, in the console alone: one journey, all real.

The journey has one node with all of its processes, one Orthanc and one browser.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect
from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE

from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dicom.ct_writer import CtDescription
from node.domain.identifiers import Uid
from node.domain.job import JobState
from node.domain.series import SeriesState
from node.processes.role_process import Role
from node.web.dependencies import utc_now
from tests.support.browser.administrator import (
    add_orthanc,
    become_administrator,
    check_history,
    fill,
    open_page,
    read_mistake_of_invalid_rule,
    roll_back,
    save,
    write_rule,
)
from tests.support.browser.busy_console import open_console
from tests.support.browser.slice_viewer_page import SliceViewerPage
from tests.support.dicom.small_ct import small_ct
from tests.support.many_series import insert_series
from tests.support.processes.running_node import SENDER, RunningNode, small_abdomen
from tests.support.servers.http_receiver import HttpReceiver, http_receiver
from tests.support.waiting import until

_WAIT_S = 60.0  # a failure must be visible within a minute
_SEEN_MS = _WAIT_S * 1000
_RESULT_MS = 240_000
_SEED = 17
_ACCESSION_NUMBER = "ACC-2026-17"
_SERIES = Uid(CtDescription(seed=str(_SEED)).series_instance_uid)
_STUDY = CtDescription(seed=str(_SEED)).study_instance_uid
# None of these made-up series is parked, so that they are no problem of the site.
_OTHERS = range(1_000, 2_000)
_FAILING = "The destination pacs does not take results"

_CONFIGURATION = """
config = "database"
data_dir = "data"
quiet_seconds = 1

[listener]
host = "127.0.0.1"
port = {dicom_port}

[web]
port = {web_port}

[worker]
poll_seconds = 0.4

[delivery]
first_retry_seconds = 0.5
longest_retry_seconds = 1

[monitoring]
attention_after_failures = 2

[alerts.webhook]
url_file = "{webhook_file}"
"""


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[OrthancPacs]:
    if missing := orthanc_missing():
        pytest.skip(missing)
    pacs = OrthancPacs(tmp_path / "orthanc")
    pacs.start()
    yield pacs
    pacs.kill()


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def node(tmp_path: Path, orthanc: OrthancPacs, receiver: HttpReceiver) -> Iterator[RunningNode]:
    """A new node: it has no peers, destinations and rules, but a thousand earlier series."""
    made = RunningNode(tmp_path / "node", orthanc, roles=tuple(Role))
    webhook_file = tmp_path / "webhook"
    webhook_file.touch(mode=0o600)
    webhook_file.write_text(receiver.url)
    made.config_file.write_text(
        _CONFIGURATION.format(
            dicom_port=made.dicom_port, web_port=made.web_port, webhook_file=webhook_file
        )
    )
    insert_series(made.store, _OTHERS)
    with closing(made):
        made.start()
        yield made


def test_a_new_administrator_connects_orthanc_and_finds_everything_in_the_history(
    page: Page, node: RunningNode, orthanc: OrthancPacs, receiver: HttpReceiver, tmp_path: Path
) -> None:
    localizer = receive_localizer(node, tmp_path / "localizer")
    with open_console(page, node.url):
        become_administrator(page, node)
        page.goto(f"{node.url}/overview")
        expect(page.locator(".all-well")).to_be_visible(timeout=_SEEN_MS)
        add_orthanc(page, orthanc)
        write_rule(page, localizer)
        orthanc.kill()
        accept_sender_after_rejection(page, node, tmp_path / "ct")
        see_failure(page, node, receiver)
        watch_delivery(page, orthanc)
        see_recovery(page, node, receiver)
        find_by_accession_number(page)
        check_overlay(page, node, orthanc)
        read_mistake_of_invalid_rule(page, node)
        roll_back(page, node)
        check_history(page)
        check_series_history(page, node)


def receive_localizer(node: RunningNode, folder: Path) -> Uid:
    """A first series arrives, which the defaults ignore."""

    def localizer(_index: int, dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    files = small_ct().modify(localizer)
    node.send(files.write(folder))
    uid = Uid(files.datasets[0].SeriesInstanceUID)

    def ignored() -> bool:
        series = node.store.get_series(uid)
        return series is not None and series.state is SeriesState.IGNORED

    until(ignored, _WAIT_S, "the localizer to be ignored")
    return uid


def accept_sender_after_rejection(page: Page, node: RunningNode, folder: Path) -> None:
    """The scanner is rejected since peers are listed; it is accepted, and sends again."""
    files = small_abdomen(folder, seed=_SEED, accession_number=_ACCESSION_NUMBER)
    until(lambda: rejects(node), _WAIT_S, "the listener to reject unknown senders")
    until(lambda: node.store.rejected_connections(utc_now()), _WAIT_S, "the record of it")
    open_page(page, "Connections")
    rejected = page.get_by_role("region", name="Rejected connections")
    expect(rejected).to_contain_text("DEMOSENDER at 127.0.0.1")
    rejected.get_by_role("link", name="Accept this sender").click()
    fill(page, name="scanner")
    save(page, "the new scanner")
    expect(page.locator("#peers-scanner")).to_be_visible()
    until(lambda: not rejects(node), _WAIT_S, "the listener to accept the scanner")
    page.goto(node.url)
    node.send(files)


def see_failure(page: Page, node: RunningNode, receiver: HttpReceiver) -> None:
    """The stopped PACS is seen within a minute: in list, overview, health and webhook."""
    row = row_of_series(page)
    expect(row.locator(".cell-destinations")).to_contain_text("pacs", timeout=_RESULT_MS)
    open_page(page, "Overview")
    problem = page.locator(".problem-text").filter(has_text=_FAILING)
    expect(problem).to_be_visible(timeout=_SEEN_MS)
    assert httpx.get(f"{node.url}/health").json()["status"] == "degraded"
    until(lambda: events_of_pacs(receiver) == ["started"], _WAIT_S, "the alert")


def watch_delivery(page: Page, orthanc: OrthancPacs) -> None:
    """The series becomes delivered in the open list, after the PACS is back."""
    open_page(page, "Series")
    row = row_of_series(page)
    expect(row.locator(".first-line")).not_to_contain_text("Delivered")
    page.evaluate("window.isNotReloaded = true")
    orthanc.start()
    expect(row.locator(".first-line")).to_contain_text("Delivered", timeout=_SEEN_MS)
    assert page.evaluate("window.isNotReloaded")


def see_recovery(page: Page, node: RunningNode, receiver: HttpReceiver) -> None:
    """The end of the failure is reported once, everywhere."""
    open_page(page, "Overview")
    expect(page.locator(".all-well")).to_be_visible(timeout=_SEEN_MS)
    until(lambda: events_of_pacs(receiver) == ["started", "ended"], _WAIT_S, "the end of the alert")
    assert httpx.get(f"{node.url}/health").json()["status"] == "ok"


def find_by_accession_number(page: Page) -> None:
    """One of 1,002 series is found by its accession number, and opened."""
    open_page(page, "Series")
    expect(page.locator("#show-all")).to_contain_text("1,002")
    page.get_by_role("searchbox").fill(_ACCESSION_NUMBER)
    page.get_by_role("button", name="Search").click()
    rows = page.locator("tr[id^=series-]")
    expect(rows).to_have_count(1, timeout=_SEEN_MS)
    expect(rows).to_have_id(f"series-{_SERIES}")
    expect(page.locator(".study-row")).to_contain_text(_ACCESSION_NUMBER)


def check_overlay(page: Page, node: RunningNode, orthanc: OrthancPacs) -> None:
    """The overlay of the viewer covers the pixels of the SEG that the PACS holds."""
    viewer = SliceViewerPage(page, node, _SERIES)
    stored = masks_in(orthanc)
    seen = 0
    for number in range(1, 51, 7):
        mask = stored.get(viewer.show(number))
        shown = viewer.overlay()[..., 3] > 0
        assert (shown == (np.zeros_like(shown) if mask is None else mask)).all(), number
        seen += int(shown.any())
    assert seen >= 2


def check_series_history(page: Page, node: RunningNode) -> None:
    """The series' page tells its history in order."""
    page.goto(f"{node.url}/series/{_SERIES}")
    events = page.get_by_role("region", name="What happened").get_by_role("listitem")
    texts = [" ".join(text.split()) for text in events.all_inner_texts()]
    expected = (
        "First image received from DEMOSENDER",
        "Series complete: a rule matched",
        "Job queued",
        "Model started",
        "Result complete",
        "Delivery failed; will be retried",
        "Delivered to every destination",
    )
    positions = [next(n for n, text in enumerate(texts) if event in text) for event in expected]
    assert positions == sorted(positions), texts
    job = node.newest_job(_SERIES)
    assert job is not None
    assert job.state is JobState.DELIVERED
    expect(page.get_by_role("region", name="Why: the rules’ decision")).to_contain_text(
        "Rule “abdomen” matched this series"
    )


def row_of_series(page: Page) -> Locator:
    return page.locator(f"[id='series-{_SERIES}']")


def events_of_pacs(receiver: HttpReceiver) -> list[str]:
    """The alerts of the destination that the webhook has received so far."""
    alerts = [posted.content for posted in receiver.posted]
    return [str(alert["event"]) for alert in alerts if alert["subject"] == "pacs"]


def rejects(node: RunningNode) -> bool:
    """Whether the listener rejects an association of the scanner."""
    entity = AE(SENDER)
    entity.add_requested_context(CTImageStorage)
    association = entity.associate("127.0.0.1", node.dicom_port, ae_title="SEGNODE")
    if association.is_established:
        association.release()
    return association.is_rejected


def masks_in(orthanc: OrthancPacs) -> Mapping[str, NDArray[np.bool_]]:
    """Returns the mask (row, column) on each image, by its UID, in the stored SEG of the study."""
    (series,) = orthanc.find_series(_STUDY, "SEG")
    (instance,) = series["Instances"]
    segmentation = dcmread(BytesIO(orthanc.file_of_instance(instance)))
    masks: dict[str, NDArray[np.bool_]] = {}
    frames = zip(
        segmentation.PerFrameFunctionalGroupsSequence, segmentation.pixel_array, strict=True
    )
    for groups, pixels in frames:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        uid = source.ReferencedSOPInstanceUID
        masks[uid] = masks.get(uid, np.zeros(pixels.shape, bool)) | (pixels > 0)
    return masks
