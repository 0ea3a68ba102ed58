"""Every page of the console is rendered by `make screenshots`; those without a test of their own
are accessible and fit a phone."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ViewportSize
from starlette.routing import compile_path

from node.web.permissions import ROUTE_PERMISSIONS
from tests.screenshots.access_pages import ACCESS_PAGES
from tests.screenshots.pages import PAGES
from tests.support.browser.overview_site import CONFIGURATION, add_problems
from tests.support.servers.served_node import ServedNode, served_node

_NO_PAGES = re.compile(r"/(api|dicom-web|health|metrics|fragments|events|static)(/|$)")
# Two redirects and a download.
_NO_PAGE = ("/jobs/{job_id}", "/jobs/{job_id}/result.dcm", "/viewer")
_WIDE: ViewportSize = {"width": 1280, "height": 900}
_PHONE: ViewportSize = {"width": 390, "height": 844}
_CHECKED = (
    "/node",
    "/configuration",
    "/configuration/rules",
    "/configuration/rules/new",
    "/queues/discard?destination=pacs&all=1",
    "/queues/redirect?destination=pacs&all=1",
    "/queues/discard",
    "/series/1.2.3",
    "/series/1.2.840.99.100",
    "/?q=1.2.3",
)


def test_every_page_has_pictures() -> None:
    all_pages = (*PAGES, *ACCESS_PAGES)
    shown = [page.path.partition("?")[0] for page in all_pages if isinstance(page.path, str)]
    pages = [
        path
        for method, path in ROUTE_PERMISSIONS
        if method == "GET" and not _NO_PAGES.match(path) and path not in _NO_PAGE
    ]
    assert "/overview" in pages
    without = [
        path for path in pages if not any(compile_path(path)[0].fullmatch(one) for one in shown)
    ]
    assert without == []


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site"), CONFIGURATION) as served:
        add_problems(served)
        yield served


@pytest.mark.parametrize(
    ("window", "is_dark"), [(_WIDE, False), (_PHONE, True)], ids=["wide light", "phone dark"]
)
def test_pages_have_no_axe_violations_and_fit_the_window(
    browser: Browser, node: ServedNode, window: ViewportSize, is_dark: bool
) -> None:
    # The checker is a script, which the page's own policy keeps out.
    context = browser.new_context(
        bypass_csp=True, viewport=window, color_scheme="dark" if is_dark else "light"
    )
    page = context.new_page()
    for path in _CHECKED:
        page.goto(f"{node.url}{path}")
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}\n{found.generate_report()}"
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= window["width"], path
    context.close()
