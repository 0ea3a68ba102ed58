"""The links between the pages of the console: each page is reached, marked and fits a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.browser.busy_console import open_console
from tests.support.servers.served_node import ServedNode, served_node

_PHONE: ViewportSize = {"width": 390, "height": 844}
_PAGES = {
    "/overview": ("Overview", None),
    "/": ("Series", None),
    "/queues": ("Queues", None),
    "/models": ("Models", "Installed models"),
    "/feedback": ("Models", "Feedback"),
    "/configuration": ("Configuration", "Text and history"),
    "/connections": ("Configuration", "Connections"),
    "/configuration/rules": ("Configuration", "Rules"),
    "/configuration/rules/new": ("Configuration", "Rules"),
    "/node": ("Configuration", "This node"),
    "/users": ("Access", "Users"),
    "/tokens": ("Access", "Tokens"),
}
_ROWS = "links => new Set(links.map(link => link.offsetTop)).size"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport=_PHONE)
    yield context.new_page()
    context.close()


def test_every_page_marks_its_place_and_fits_a_phone(phone: Page, node: ServedNode) -> None:
    pages = phone.get_by_role("navigation", name="Pages", exact=True)
    sub_pages = phone.locator(".sub-pages")
    for path, (group, sub_page) in _PAGES.items():
        with open_console(phone, f"{node.url}{path}"):
            expect(pages.locator("[aria-current]")).to_have_text(group)
            if sub_page is None:
                expect(sub_pages).to_have_count(0)
            else:
                expect(sub_pages.locator("[aria-current]")).to_have_text(sub_page)
                assert sub_pages.locator("a").evaluate_all(_ROWS) == 1, path
            assert pages.locator("a").evaluate_all(_ROWS) == 1, path
            assert phone.evaluate("document.documentElement.scrollWidth") <= _PHONE["width"], path


def test_the_first_key_skips_the_links(phone: Page, node: ServedNode) -> None:
    with open_console(phone, node.url):
        skip = phone.get_by_role("link", name="Skip to content")
        expect(skip).not_to_be_in_viewport()
        phone.keyboard.press("Tab")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport()
        phone.keyboard.press("Enter")
        expect(phone.get_by_role("main")).to_be_focused()
        phone.keyboard.press("Tab")
        expect(phone.get_by_role("searchbox")).to_be_focused()


def test_the_links_lead_to_every_page(phone: Page, node: ServedNode) -> None:
    with open_console(phone, node.url):
        for group in ("Overview", "Queues", "Models", "Configuration"):
            phone.get_by_role("link", name=group, exact=True).click()
            expect(phone.get_by_role("heading", name=group, level=1)).to_be_visible()
        for sub_page in ("Connections", "Rules", "This node"):
            phone.locator(".sub-pages").get_by_role("link", name=sub_page).click()
            expect(phone.get_by_role("heading", name=sub_page, level=1)).to_be_visible()
