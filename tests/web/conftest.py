"""Fixtures of a real browser, of a served node and of its clients."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicomweb_client import DICOMwebClient
from playwright.sync_api import Browser, Page, sync_playwright

from node.domain.series import StoredSeries
from tests.support.browser.busy_console import open_console
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.served_node import ServedNode, served_node

# The first has no windows at all, and takes half of the processor time.
_BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
)
_ARGUMENTS = [
    "--no-sandbox",  # tests run as root in containers
    "--disable-background-networking",
]
# To draw every page as a graphics card would takes most of the time of a test of the console.
_PLAIN_GRAPHICS = ["--disable-gpu"]
# WebGL without a graphics card, for modules with the mark `webgl`.
_WEBGL = [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    # WebGL alone draws as a graphics card would: half of the time of a test with OHIF.
    "--disable-gpu-rasterization",
    "--disable-gpu-compositing",
]


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """The installed Chromium, headless.

    Module scope: while Playwright runs, its thread has an event loop, and DBOS does not start in
    such a thread.
    """
    found = [path for name in _BROWSERS if (path := shutil.which(name))]
    if not found:
        pytest.skip("no Chromium is installed: apt install chromium-headless-shell")
    graphics = _WEBGL if request.node.get_closest_marker("webgl") else _PLAIN_GRAPHICS
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found[0], args=[*_ARGUMENTS, *graphics]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page without cookies or stored data."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    """A node with the default configuration."""
    with served_node(tmp_path) as served:
        yield served


@pytest.fixture
def series(node: ServedNode, tmp_path: Path) -> StoredSeries:
    """A small series that has just been received."""
    return node.receive(small_ct(), tmp_path / "ct")


@pytest.fixture
def client(node: ServedNode) -> DICOMwebClient:
    """A DICOMweb client of the node."""
    return DICOMwebClient(node.dicomweb_url)


@pytest.fixture
def console(page: Page, node: ServedNode) -> Iterator[Page]:
    """The console of the node."""
    with open_console(page, node.url) as opened:
        yield opened
