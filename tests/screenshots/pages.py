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


def _tick_one_delivery(page: Page) -> None:
    page.locator(".pick input").first.check()


def _ask_to_discard(page: Page) -> None:
    page.locator(".pick input").first.check()
    page.get_by_role("button", name="Discard…").first.click()


def _ask_to_redirect(page: Page) -> None:
    page.locator(".pick input").first.check()
    page.get_by_role("button", name="Redirect…").first.click()


def _search_by_field(page: Page) -> None:
    page.get_by_text("Search by field").click()


def _check_a_mistake(page: Page) -> None:
    text = page.get_by_label("Configuration in TOML")
    text.fill(text.input_value().replace("equals", "equlas"))
    page.get_by_role("button", name="Check").click()


def _check_a_change(page: Page) -> None:
    text = page.get_by_label("Configuration in TOML")
    text.fill(text.input_value().replace("enabled = false", "enabled = true"))
    page.get_by_role("button", name="Check").click()


def _open_more(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()


def _save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def _try_the_rule(page: Page) -> None:
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#dry-run-summary")).to_be_visible()


def _test_the_archive(page: Page) -> None:
    page.locator("#destinations-archive").get_by_role("button", name="Test").click()


@dataclass(frozen=True)
class ShownPage:
    """A page, the sites on which it is rendered, and what a person does before the picture."""

    name: str
    path: Callable[[ServedNode], str]
    sites: tuple[str, ...]
    prepare: Callable[[Page], None] = _nothing


def at(path: str) -> Callable[[ServedNode], str]:
    """Returns what gives this path for every node."""
    return lambda _node: path


def _of(state: JobState) -> Callable[[ServedNode], str]:
    return lambda node: series_of(node, state)


_EVERY_STATE = ("empty", "normal", "problem", "many")
_MANAGED = ("managed",)
PAGES = (
    ShownPage("series-list", at("/"), _EVERY_STATE),
    ShownPage("search", at("/?sender=CT_ROOM_1"), ("normal", "many")),
    ShownPage("search-without-result", at("/?q=1.2.3.4"), ("normal",), _search_by_field),
    ShownPage("overview", at("/overview"), _EVERY_STATE),
    ShownPage("queues", at("/queues"), _EVERY_STATE),
    ShownPage("queue-selected", at("/queues"), ("problem",), _tick_one_delivery),
    ShownPage("queue-discard", at("/queues"), ("problem",), _ask_to_discard),
    ShownPage("queue-redirect", at("/queues"), ("problem",), _ask_to_redirect),
    ShownPage("models", at("/models"), ("normal", "managed")),
    ShownPage("feedback", at("/feedback"), ("normal", "managed")),
    ShownPage("configuration", at("/configuration"), ("normal", "managed")),
    ShownPage("configuration-mistake", at("/configuration"), _MANAGED, _check_a_mistake),
    ShownPage("configuration-change", at("/configuration"), _MANAGED, _check_a_change),
    ShownPage("revision", at("/configuration/revisions/1"), _MANAGED),
    ShownPage("rules", at("/configuration/rules"), ("normal", "managed")),
    ShownPage("rule", at("/configuration/rules/2"), _MANAGED, _try_the_rule),
    ShownPage("rule-more", at("/configuration/rules/2"), _MANAGED, _open_more),
    ShownPage("rule-new", at("/configuration/rules/new"), _MANAGED),
    ShownPage("connections", at("/connections"), ("empty", "normal", "managed")),
    ShownPage("connection-test", at("/connections"), ("normal",), _test_the_archive),
    ShownPage("connection-node", at("/connections/node"), _MANAGED),
    ShownPage("connection-peer", at("/connections/peers/edit/pacs"), _MANAGED, _open_more),
    ShownPage("connection-kinds", at("/connections/destinations/new"), _MANAGED),
    ShownPage(
        "connection-mistake",
        at("/connections/destinations/new?kind=dicomweb"),
        _MANAGED,
        _save,
    ),
    ShownPage("node", at("/node"), ("normal", "managed")),
    ShownPage("error", at("/series/1.2.3"), ("empty",)),
    ShownPage("series", largest_series, ("normal",), _wait_for_the_slice),
    ShownPage("series-stopped", _of(JobState.PARKED), ("problem",), _ask_for_the_reason),
    ShownPage("series-refused", _of(JobState.REFUSED), ("problem",)),
    ShownPage("series-discarded", _of(JobState.DISCARDED), ("problem",)),
)
