"""The pages of rules in a real browser: order, form and text, dry run, save, and read-only mode."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from node.configuration.site_configuration import SiteConfiguration, import_file
from node.web.dependencies import utc_now
from tests.support.browser.windows import PHONE, windows_and_schemes
from tests.support.dicom.small_ct import small_ct
from tests.support.servers.served_node import ServedNode, served_node

_RULES = """
[destinations.archive]
kind = "folder"
path = "archive"

[destinations.research]
kind = "folder"
path = "research"

# Livers.
[[rules]]
name = "liver"
model = "liver-ct"
destinations = ["archive"]
when = { attribute = "Modality", equals = "CT" }

[[rules]]
name = "organs"
model = "organs-ct"
destinations = ["archive"]
[rules.when]
any = [{ at_least_slices = 500 }, { attribute = "Modality", equals = "MR" }]
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    """A node with its configuration in the database and one series."""
    with served_node(tmp_path, f'config = "database"\n{_RULES}') as served:
        import_file(served.store, served.settings.file, utc_now())
        served.receive(small_ct(), tmp_path / "ct")
        yield served


@pytest.fixture
def rules(console: Page, node: ServedNode) -> Page:
    """The list of rules."""
    console.goto(f"{node.url}/configuration/rules")
    return console


def active_text(node: ServedNode) -> str:
    return SiteConfiguration(node.store, node.settings.file).text()


def edit(rules: Page, button: str) -> None:
    """Opens the form of a rule; returns when its script runs."""
    with rules.expect_navigation():
        rules.click(button)


def test_rules_are_reordered_disabled_and_removed(rules: Page, node: ServedNode) -> None:
    names = rules.locator(".rule-list h2")
    expect(names).to_have_text(["liver", "organs"])
    rules.click("#down-1")
    expect(names).to_have_text(["organs", "liver"])
    rules.click("#disable-2")
    expect(names).to_have_text(["organs", "liver disabled"])
    expect(rules.locator(".rule-list")).not_to_contain_text("the rule is enabled")
    rules.click("#enable-2")
    expect(names).to_have_text(["organs", "liver"])
    rules.locator("li", has_text="organs-ct").locator("summary").click()
    rules.click("#remove-1")
    expect(names).to_have_text(["liver"])
    assert "# Livers.\n[[rules]]" in active_text(node)
    reasons = [revision.reason for revision in node.store.list_revisions(10)]
    assert reasons[:2] == ["rule 'organs' is removed", "rule 'liver' is enabled"]
    assert {revision.author for revision in node.store.list_revisions(4)} == {"console (127.0.0.1)"}


def test_a_change_of_the_form_changes_the_text_and_the_other_way_round(rules: Page) -> None:
    edit(rules, "#edit-1")
    rules.fill("#name", "abdomen")
    expect(rules.locator("#text")).to_have_value(
        '# Livers.\n[[rules]]\nname = "abdomen"\nmodel = "liver-ct"\ndestinations = ["archive"]\n'
        'when = { attribute = "Modality", equals = "CT" }\n'
    )
    rules.fill("#attribute-1", "SliceThickness")
    rules.select_option("#test-1", "range")
    rules.fill("#value-1", "0.5, 2")
    expect(rules.locator("#text")).to_have_value(containing("range = [0.5, 2]"))
    text = rules.locator("#text").input_value()
    rules.fill("#text", text.replace('"abdomen"', '"by text"'))
    expect(rules.locator("#name")).to_have_value("by text")
    expect(rules.locator("#row-1")).to_contain_text("Slice Thickness (0018,0050)")


@pytest.mark.parametrize(
    ("field", "value", "follows", "shown"),
    [
        ("#name", "early", "#text", re.compile('name = "early"')),
        ("#text", 'name = "early"', "#name", "early"),
    ],
    ids=["form", "text"],
)
def test_what_is_filled_in_before_the_script_runs_counts(
    rules: Page, node: ServedNode, field: str, value: str, follows: str, shown: str
) -> None:
    script, held = "**/static/rules.js*", list[Route]()
    rules.route(script, lambda route: held.append(route))  # noqa: PLW0108 Playwright needs a function
    with rules.expect_request(script):
        rules.goto(f"{node.url}/configuration/rules/1", wait_until="commit")
    if field == "#text":
        value = rules.locator(field).input_value().replace('name = "liver"', value)
    rules.fill(field, value)
    held[0].continue_()
    expect(rules.locator(follows)).to_have_value(shown)
    expect(rules.locator(field)).to_have_value(value)


def test_the_text_has_what_the_browser_restores_in_the_form(rules: Page, node: ServedNode) -> None:
    edit(rules, "#edit-1")
    rules.check("#destination-research")
    expect(rules.locator("#text")).to_have_value(containing('"archive", "research"'))
    rules.goto(f"{node.url}/configuration/rules")
    rules.go_back()
    expect(rules.locator("#destination-research")).to_be_checked()
    expect(rules.locator("#text")).to_have_value(containing('"archive", "research"'))


def test_an_invalid_rule_is_explained_at_its_line_and_cannot_be_saved(
    rules: Page, node: ServedNode
) -> None:
    before = active_text(node)
    edit(rules, "#edit-2")
    text = rules.locator("#text").input_value()
    rules.fill("#text", text.replace("Modality", "Modalty"))
    messages = rules.locator("#messages")
    expect(messages).to_contain_text("Line 6:")
    rules.get_by_role("link", name="Line 6").click()
    selected = "e => e.value.slice(e.selectionStart, e.selectionEnd)"
    assert "Modalty" in rules.locator("#text").evaluate(selected)
    expect(messages).to_contain_text("(did you mean 'Modality'?)")
    rules.click("#save")
    expect(messages).to_contain_text("(did you mean 'Modality'?)")
    assert active_text(node) == before


def test_a_mistake_in_the_form_stands_at_its_field_and_at_the_top(rules: Page) -> None:
    edit(rules, "#edit-1")
    rules.fill("#attribute-1", "SliceThickness")
    rules.select_option("#test-1", "range")
    rules.fill("#value-1", "5 to 2")
    message = "the lower end 5 lies above the upper end 2"
    expect(rules.locator("#value-1-mistake")).to_contain_text(message.capitalize())
    expect(rules.locator("#attribute-1-mistake")).to_be_hidden()
    expect(rules.locator("#messages")).to_contain_text(f"Condition 2, line 10: {message}")
    rules.get_by_role("link", name="Condition 2").click()
    expect(rules.locator("#value-1")).to_be_focused()
    rules.locator("#more summary").click()
    rules.fill("#quiet", "-1")
    expect(rules.locator("#quiet-mistake")).to_be_visible()
    rules.fill("#quiet", "")
    rules.fill("#value-1", "2 to 5")
    expect(rules.locator("#messages")).to_have_text(containing("No mistakes."))
    expect(rules.locator("[data-mistake]:visible")).to_have_count(0)
    rules.fill("#attribute-0", "Modalty")
    rules.click("#save")
    expect(rules.locator("#attribute-0-mistake")).to_contain_text("did you mean 'Modality'?")
    expect(rules.locator("#attribute-0")).to_have_attribute("aria-invalid", "true")
    assert violations(rules) == ""


def test_the_text_of_a_rule_has_line_numbers_that_follow_both_halves(rules: Page) -> None:
    edit(rules, "#edit-1")
    numbers = rules.locator(".line-numbers")
    count = rules.locator("#text").input_value().count("\n") + 1
    expect(numbers).to_have_text(re.compile(rf"\b{count}\s*$"))
    rules.locator("#more summary").click()
    rules.select_option("#priority", "stat")
    expect(numbers).to_have_text(re.compile(rf"\b{count + 1}\s*$"))
    rules.fill("#text", "[[rules]]\nname = \n")
    expect(numbers).to_have_text(re.compile(r"^1\s+2\s+3\s*$"))
    expect(rules.locator("#messages")).to_contain_text("Line 2: ")


def test_a_dry_run_names_the_series_that_change_and_the_condition(rules: Page) -> None:
    edit(rules, "#edit-1")
    rules.fill("#value-0", "MR")
    expect(rules.locator("#text")).to_have_value(containing('equals = "MR"'))
    rules.click("#try")
    result = rules.locator("#dry-run")
    expect(result).to_contain_text("1 of 1 series of the last 7 days would be decided differently")
    expect(result).to_contain_text(
        "Rule “liver” no longer matches, because of: Modality equals MR (is CT)."
    )
    expect(result).to_contain_text("No rule matches it then, so it would be ignored.")


def test_a_rule_is_added_and_saved_with_its_reason(rules: Page, node: ServedNode) -> None:
    edit(rules, "#add-rule")
    expect(rules.get_by_text("There is no destination yet")).to_have_count(0)
    rules.fill("#name", "thin slices")
    rules.check("#destination-research")
    expect(rules.locator("#text")).to_have_value(containing('"research"'))
    rules.fill("#author", "Ada")
    rules.fill("#reason", "new scanner")
    rules.click("#save")
    expect(rules.locator(".rule-list h2")).to_have_text(["liver", "organs", "thin slices"])
    revision = node.store.active_revision()
    assert revision is not None
    assert (revision.author, revision.reason) == ("Ada (127.0.0.1)", "new scanner")


def test_a_change_that_somebody_else_made_is_not_overwritten(rules: Page, node: ServedNode) -> None:
    edit(rules, "#edit-1")
    other = httpx.post(
        f"{node.url}/configuration/rules", data={"number": "2", "action": "disable", "base": "1"}
    )
    assert other.status_code == httpx.codes.SEE_OTHER
    rules.fill("#name", "mine")
    rules.click("#save")
    expect(rules.locator("#messages")).to_contain_text("revision 2 has become active in between")
    rules.click("#save")
    expect(rules.locator(".rule-list h2")).to_have_text(["mine", "organs disabled"])


def test_a_rule_that_somebody_else_moved_is_not_overwritten(rules: Page, node: ServedNode) -> None:
    edit(rules, "#edit-1")
    base = node.store.active_revision_number()
    moved = {"number": "1", "action": "down", "base": str(base)}
    other = httpx.post(f"{node.url}/configuration/rules", data=moved)
    assert other.status_code == httpx.codes.SEE_OTHER
    rules.fill("#name", "mine")
    for _ in range(2):
        rules.click("#save")
        expect(rules.locator("#messages")).to_contain_text("It changed or moved this rule")
    assert "mine" not in active_text(node)


def test_the_pages_have_no_accessibility_violations(rules: Page) -> None:
    for window, scheme in windows_and_schemes():
        rules.set_viewport_size(window)
        rules.emulate_media(color_scheme=scheme)
        assert violations(rules) == ""
    edit(rules, "#edit-1")
    rules.locator("#more summary").click()
    for scheme in ("light", "dark"):
        rules.emulate_media(color_scheme=scheme)
        assert violations(rules) == ""
    width = rules.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]


def test_without_a_destination_the_form_says_where_to_add_one(tmp_path: Path) -> None:
    with served_node(tmp_path, 'config = "database"\n') as node:
        import_file(node.store, node.settings.file, utc_now())
        text = httpx.get(f"{node.url}/configuration/rules/new").text
        assert 'a rule needs one: <a href="/connections/destinations/new">add a destination' in text
        rules = httpx.get(f"{node.url}/configuration/rules").text
        assert "Add a rule</a>" in rules
        assert "Try a new rule" not in rules


def test_in_file_mode_a_rule_can_be_tried_and_not_saved(page: Page, tmp_path: Path) -> None:
    with served_node(tmp_path, _RULES) as node:
        page.goto(f"{node.url}/configuration/rules")
        expect(page.locator("main")).to_contain_text("segnode reload")
        expect(page.locator("#disable-1")).to_have_count(0)
        page.click("#edit-1")
        expect(page.locator("#save")).to_have_count(0)
        answer = httpx.post(
            f"{node.url}/configuration/rules",
            data={"number": "1", "action": "remove", "base": ""},
        )
        assert "the configuration is in" in answer.text


def test_the_api_tries_a_changed_configuration(node: ServedNode) -> None:
    changed = _RULES.replace('equals = "CT"', 'equals = "MR"')
    answer = httpx.post(f"{node.url}/api/rules/dry-run", json={"text": changed})
    assert answer.status_code == httpx.codes.OK, answer.text
    (series,) = answer.json()["changed"]
    assert series["changes"][0]["deciding_conditions"] == ["Modality equals MR"]
    wrong = httpx.post(
        f"{node.url}/api/rules/dry-run", json={"text": changed.replace("Modality", "Modalty")}
    )
    assert wrong.status_code == httpx.codes.BAD_REQUEST
    assert "did you mean 'Modality'?" in wrong.json()["message"]


def containing(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


def violations(page: Page) -> str:
    """What axe finds wrong with the page; empty if nothing is."""
    found = Axe().run(page)
    return found.generate_report() if found.violations_count else ""
