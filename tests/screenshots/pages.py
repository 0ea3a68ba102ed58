"""The table of pages to render; a new page of the console is one more entry."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from node.domain.job import JobState
from tests.screenshots.sites import IGNORED_NUMBER, largest_series, series_of
from tests.support.servers.served_node import ServedNode


def _nothing(_page: Page) -> None:
    """Renders the page as it opens."""


def _wait_for_the_slice(page: Page) -> None:
    page.get_by_role("region", name="Images").scroll_into_view_if_needed()
    expect(page.locator(".slice-number")).to_contain_text("Slice")


def _ask_for_the_reason(page: Page) -> None:
    page.get_by_text("Discard liver-ct…").click()


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


def _test_the_pacs(page: Page) -> None:
    page.locator("#destinations-pacs").get_by_role("button", name="Test").click()


def _mistake_in_the_rule(page: Page) -> None:
    text = page.locator("#text")
    text.fill(text.input_value().replace("equals", "equlas"))
    expect(page.locator("#messages li")).to_be_visible()


def _remove(page: Page) -> None:
    page.get_by_role("button", name="Remove").click()


def _open_all_details(page: Page) -> None:
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")


def _wait_until_the_node_is_gone(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()


@dataclass(frozen=True)
class ShownPage:
    """A page, the sites on which it is rendered, and what a person does before the picture."""

    name: str
    path: str | Callable[[ServedNode], str]
    sites: tuple[str, ...]
    prepare: Callable[[Page], None] = _nothing
    user: str = ""  # who has logged in

    def address(self, node: ServedNode) -> str:
        """Returns the path of the page of the node."""
        return self.path if isinstance(self.path, str) else self.path(node)


def _of(state: JobState) -> Callable[[ServedNode], str]:
    return lambda node: series_of(node, state)


_EVERY_STATE = ("new", "empty", "normal", "problem", "many")
_MANAGED = ("managed",)
_KINDS = ("cstore", "dicomweb", "folder", "hl7", "fhir")
PAGES = (
    ShownPage("series-list", "/", _EVERY_STATE),
    ShownPage("search", "/?sender=CT_ROOM_1", ("normal", "many")),
    ShownPage("search-without-result", "/?q=1.2.3.4", ("normal",), _search_by_field),
    ShownPage("series-list-details", "/", ("normal", "problem"), _open_all_details),
    ShownPage("series-list-tab", "/?show=attention", ("normal", "problem")),
    ShownPage("no-answer", "/", ("normal",), _wait_until_the_node_is_gone),
    ShownPage("overview", "/overview", _EVERY_STATE),
    ShownPage("queues", "/queues", _EVERY_STATE),
    ShownPage("queue-selected", "/queues", ("problem",), _tick_one_delivery),
    ShownPage("queue-discard", "/queues", ("problem",), _ask_to_discard),
    ShownPage("queue-redirect", "/queues", ("problem",), _ask_to_redirect),
    ShownPage("queue-discard-all", "/queues/discard?destination=pacs&all=1", ("problem",)),
    ShownPage("queue-redirect-all", "/queues/redirect?destination=pacs&all=1", ("problem",)),
    ShownPage("models", "/models", ("empty", "normal", "managed")),
    ShownPage("models-more", "/models", _MANAGED, _open_more),
    ShownPage("feedback", "/feedback", ("empty", "managed")),
    ShownPage("configuration", "/configuration", ("normal", "new", "managed")),
    ShownPage("configuration-mistake", "/configuration", _MANAGED, _check_a_mistake),
    ShownPage("configuration-change", "/configuration", _MANAGED, _check_a_change),
    ShownPage("revision", "/configuration/revisions/2", _MANAGED),
    ShownPage("revision-roll-back", "/configuration/revisions/1", _MANAGED),
    ShownPage("rules", "/configuration/rules", ("normal", "new", "managed")),
    ShownPage("rules-remove", "/configuration/rules", _MANAGED, _open_more),
    ShownPage("rule", "/configuration/rules/2", _MANAGED, _try_the_rule),
    ShownPage("rule-more", "/configuration/rules/2", _MANAGED, _open_more),
    ShownPage("rule-mistake", "/configuration/rules/2", _MANAGED, _mistake_in_the_rule),
    ShownPage("rule-new", "/configuration/rules/new", ("new", "managed")),
    ShownPage("connections", "/connections", ("normal", "new", "managed")),
    ShownPage("connection-test", "/connections", ("normal",), _test_the_archive),
    ShownPage("connection-test", "/connections", ("problem",), _test_the_pacs),
    ShownPage("connection-node", "/connections/node", _MANAGED),
    ShownPage("connection-peer", "/connections/peers/edit/pacs", _MANAGED, _open_more),
    ShownPage("connection-new-peer", "/connections/peers/new", ("new",)),
    ShownPage("connection-new-source", "/connections/sources/new", _MANAGED, _open_more),
    ShownPage("connection-kinds", "/connections/destinations/new", _MANAGED),
    *(
        ShownPage(
            f"connection-new-{kind}",
            f"/connections/destinations/new?kind={kind}",
            _MANAGED,
            _open_more,
        )
        for kind in _KINDS
    ),
    ShownPage("connection-in-use", "/connections/destinations/edit/archive", _MANAGED, _remove),
    ShownPage(
        "connection-mistake",
        "/connections/destinations/new?kind=dicomweb",
        _MANAGED,
        _save,
    ),
    ShownPage("node", "/node", ("normal", "new", "managed")),
    ShownPage("error", "/series/1.2.3", ("empty",)),
    ShownPage("error-selection", "/queues/discard", ("empty",)),
    ShownPage("error-viewer", "/viewer/", ("empty",)),
    ShownPage("series", largest_series, ("normal",), _wait_for_the_slice),
    ShownPage("series-compared", _of(JobState.DELIVERED), _MANAGED),
    ShownPage("series-failing", _of(JobState.DELIVERING), ("problem",)),
    ShownPage("series-queued", _of(JobState.QUEUED), ("problem",)),
    ShownPage("series-ignored", f"/series/1.2.840.99.{IGNORED_NUMBER}", ("problem",)),
    ShownPage("series-stopped", _of(JobState.PARKED), ("problem",), _ask_for_the_reason),
    ShownPage("series-refused", _of(JobState.REFUSED), ("problem",)),
    ShownPage("series-discarded", _of(JobState.DISCARDED), ("problem",)),
)
