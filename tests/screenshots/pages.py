"""The table of pages to render; a new page of the console is one more entry."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from node.domain.job import JobState
from tests.screenshots.sites import largest_series, series_of
from tests.support.servers.served_node import ServedNode


def _nothing(_page: Page) -> None:
    """Renders the page as it opens."""


def _wait_for_the_slice(page: Page) -> None:
    page.get_by_role("region", name="Images").scroll_into_view_if_needed()
    expect(page.locator(".slice-number")).to_contain_text("Slice")


def _ask_for_the_reason(page: Page) -> None:
    page.get_by_text("Discard liver-ct …").click()


@dataclass(frozen=True)
class ShownPage:
    """A page, the sites on which it is rendered, and what a person does before the picture."""

    name: str
    path: Callable[[ServedNode], str]
    sites: tuple[str, ...]
    prepare: Callable[[Page], None] = _nothing


def _at(path: str) -> Callable[[ServedNode], str]:
    return lambda _node: path


def _of(state: JobState) -> Callable[[ServedNode], str]:
    return lambda node: series_of(node, state)


PAGES = (
    ShownPage("series-list", _at("/"), ("empty", "normal", "problem", "many")),
    ShownPage("overview", _at("/overview"), ("empty", "normal", "problem", "many")),
    ShownPage("node", _at("/node"), ("normal",)),
    ShownPage("error", _at("/series/1.2.3"), ("empty",)),
    ShownPage("series", largest_series, ("normal",), _wait_for_the_slice),
    ShownPage("series-stopped", _of(JobState.PARKED), ("problem",), _ask_for_the_reason),
    ShownPage("series-refused", _of(JobState.REFUSED), ("problem",)),
    ShownPage("series-discarded", _of(JobState.DISCARDED), ("problem",)),
)
