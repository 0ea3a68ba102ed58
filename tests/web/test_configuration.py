"""The page "Configuration" in a real browser, and the REST routes behind it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from node.configuration.site_configuration import import_file
from tests.support.browser.busy_console import open_console
from tests.support.browser.windows import Scheme, windows_and_schemes
from tests.support.servers.served_node import ServedNode, served_node

CONFIGURATION = """config = "database"
quiet_seconds = 5

[listener]
ae_title = "LIVERNODE"

[destinations.archive]
kind = "folder"
path = "archive"

[[rules]]
name = "abdomen"
model = "liver-ct"
destinations = ["archive"]
when = { attribute = "Modality", equals = "CT" }
"""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    """One site for the module: each test starts from the revision that it finds active."""
    with served_node(tmp_path_factory.mktemp("site"), CONFIGURATION) as served:
        import_file(served.store, served.settings.file, NOW)
        yield served


@pytest.fixture
def api(node: ServedNode) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{node.url}/api/configuration", follow_redirects=True) as client:
        yield client


@pytest.fixture
def opened(page: Page, node: ServedNode) -> Iterator[Page]:
    with open_console(page, f"{node.url}/configuration") as shown:
        yield shown


def active_text(node: ServedNode) -> str:
    active = node.store.active_revision()
    assert active is not None
    return active.text


def _active(node: ServedNode) -> int:
    number = node.store.active_revision_number()
    assert number is not None
    return number


def sign(page: Page, reason: str) -> None:
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Reason").fill(reason)


def proposal(api: httpx.Client, text: str, **changes: object) -> httpx.Response:
    base = api.get("").json()["revision"]["number"]
    values = {"text": text, "author": "Ada", "reason": "a test", "base": base}
    return api.post("/revisions", json=values | changes)


def test_an_invalid_rule_is_reported_with_its_line_and_changes_nothing(
    page: Page, node: ServedNode
) -> None:
    before = active_text(node)
    # The browser itself reports the answer 422 as an error of the page.
    page.goto(f"{node.url}/configuration")
    page.get_by_label("Configuration in TOML").fill(before.replace("equals", "equlas"))
    sign(page, "a mistake")
    page.get_by_role("button", name="Save and activate").click()
    mistake = page.get_by_role("listitem").filter(has_text="rules.1.when.equlas")
    expect(mistake).to_contain_text("unknown condition (did you mean 'equals'?)")
    line = before.splitlines().index('when = { attribute = "Modality", equals = "CT" }') + 1
    mistake.get_by_role("link", name=f"Line {line}").click()
    shown = page.get_by_label("Configuration in TOML")
    expect(shown).to_be_focused()
    assert "equlas" in str(
        page.evaluate("getSelection().toString()")
        or shown.evaluate("e => e.value.slice(e.selectionStart, e.selectionEnd)")
    )
    expect(page.get_by_label("Your name")).to_have_value("Ada")
    assert active_text(node) == before


def test_a_change_is_checked_saved_shown_in_the_history_and_rolled_back(
    opened: Page, node: ServedNode
) -> None:
    before = active_text(node)
    number = node.store.active_revision_number()
    assert number is not None
    editor = opened.get_by_label("Configuration in TOML")
    editor.fill(before.replace("quiet_seconds = 5", "quiet_seconds = 7"))
    opened.get_by_role("button", name="Check").click()
    expect(opened.get_by_text("The text has no mistakes.")).to_be_visible()
    expect(opened.get_by_role("region", name="Changes")).to_contain_text("+quiet_seconds = 7")
    assert active_text(node) == before

    sign(opened, "slow scanner")
    opened.get_by_role("button", name="Save and activate").click()
    expect(opened.get_by_text(f"Revision {number + 1} is active.")).to_be_visible()
    assert "quiet_seconds = 7" in active_text(node)

    opened.get_by_role("link", name=f"Revision {number}", exact=True).click()
    expect(opened.get_by_role("region", name="Changes of the roll back")).to_contain_text(
        "-quiet_seconds = 7"
    )
    sign(opened, "the scanner is fast again")
    opened.get_by_role("button", name="Roll back").click()
    expect(opened.get_by_text(f"Revision {number + 2} is active.")).to_be_visible()
    expect(opened.get_by_role("listitem").first).to_contain_text("the scanner is fast again")
    assert active_text(node) == before
    details = [event.detail for event in node.store.history_of("configuration")]
    assert details[-2:] == [
        f"revision {number + 1} by Ada (127.0.0.1): slow scanner",
        f"revision {number + 2} by Ada (127.0.0.1): the scanner is fast again",
    ]


def test_a_text_with_another_identity_of_the_node_is_saved_only_after_a_confirmation(
    page: Page, node: ServedNode
) -> None:
    text = active_text(node) + '\n[alerts]\nsite = "Other Hospital"\n'
    fields = {"text": text, "author": "Ada", "reason": "x", "base": str(_active(node))}
    refused = httpx.post(f"{node.url}/configuration", data=fields)
    assert refused.status_code == 409
    assert "<code>alerts.site</code>: nothing becomes Other Hospital" in refused.text
    # The browser itself reports the answer 409 as an error of the page.
    page.goto(f"{node.url}/configuration")
    page.get_by_label("Configuration in TOML").fill(text)
    sign(page, "a new name")
    page.get_by_role("button", name="Save and activate").click()
    page.get_by_label("This is meant").check()
    page.get_by_role("button", name="Save and activate").click()
    expect(page.get_by_text(f"Revision {_active(node)} is active.")).to_be_visible()
    assert "Other Hospital" in active_text(node)


def test_the_api_takes_a_text_with_another_identity_only_where_that_is_meant(
    api: httpx.Client, node: ServedNode
) -> None:
    text = active_text(node).replace("Other Hospital", "") + "\n[web]\nport = 8099\n"
    before = _active(node)
    refused = proposal(api, text)
    assert refused.status_code == 409
    assert "web.port: 8080 becomes 8099" in refused.json()["message"]
    assert _active(node) == before
    accepted = proposal(api, text, takes_over_identity=True)
    assert (accepted.status_code, accepted.json()["changed"]) == (201, True)


def test_an_unchanged_text_makes_no_revision(
    opened: Page, api: httpx.Client, node: ServedNode
) -> None:
    before = _active(node)
    answer = proposal(api, active_text(node))
    assert (answer.status_code, answer.json()["number"], answer.json()["changed"]) == (
        200,
        before,
        False,
    )
    message = f"nothing changed: revision {before} has this text already"
    assert answer.json()["message"] == message
    sign(opened, "no change")
    opened.get_by_role("button", name="Save and activate").click()
    expect(opened.get_by_role("status").filter(has_text="Nothing changed")).to_be_visible()
    values = {"author": "Ada", "reason": "no", "base": before}
    rolled_back = api.post(f"/revisions/{before}/roll-back", json=values)
    assert (rolled_back.status_code, rolled_back.json()["changed"]) == (200, False)
    assert _active(node) == before


def test_the_line_numbers_follow_the_text(opened: Page) -> None:
    opened.get_by_label("Configuration in TOML").fill("a = 1\nb = 2\nc = 3")
    expect(opened.locator(".line-numbers")).to_have_text("1\n2\n3\n", use_inner_text=True)


def test_a_text_without_name_or_reason_is_not_saved(node: ServedNode) -> None:
    before = node.store.active_revision_number()
    fields = {"text": active_text(node), "base": str(before), "author": "Ada", "reason": " "}
    answer = httpx.post(f"{node.url}/configuration", data=fields)
    assert answer.status_code == 422
    assert "give your name and the reason" in answer.text
    assert node.store.active_revision_number() == before


@pytest.mark.parametrize("base", ["x", "-1", "²", "9" * 5000])
def test_a_form_about_no_revision_is_refused(node: ServedNode, base: str) -> None:
    before = node.store.active_revision_number()
    for path in ("configuration", "configuration/rules/1", "connections/node"):
        fields = {"base": base, "author": "Ada", "reason": "x", "text": "", "do": "save"}
        answer = httpx.post(f"{node.url}/{path}", data=fields)
        assert answer.status_code == 400, path
        assert "does not say which revision it changes: open its page again" in answer.text
    assert node.store.active_revision_number() == before


def test_a_conflict_says_who_changed_what_and_keeps_the_text(
    node: ServedNode, api: httpx.Client
) -> None:
    base = node.store.active_revision_number()
    assert proposal(api, active_text(node) + "\n# Bob's\n", author="Bob", base=base).is_success
    text = active_text(node) + "\n# Ada's\n"
    fields = {"text": text, "base": str(base), "author": "Ada", "reason": "mine"}
    answer = httpx.post(f"{node.url}/configuration", data=fields)
    assert answer.status_code == 409
    assert "Bob (127.0.0.1) saved it at" in answer.text
    assert "# Ada&#39;s" in answer.text
    assert "What others changed in between" in answer.text
    assert '<span class="added">+# Bob&#39;s</span>' in answer.text
    assert "# Bob's" in active_text(node)
    newer = node.store.active_revision_number()
    assert (
        f'name="base" value="{newer}"' in answer.text
    )  # to save again is possible, and deliberate
    refused = proposal(api, text, base=base)
    assert refused.status_code == 409
    assert "Bob (127.0.0.1) saved it at" in refused.json()["message"]


def test_the_api_lists_shows_compares_and_rolls_back_revisions(
    node: ServedNode, api: httpx.Client
) -> None:
    before = active_text(node)
    created = proposal(api, before + "# more\n")
    assert created.status_code == 201
    number = created.json()["number"]
    assert api.get("").json()["text"] == before + "# more\n"
    assert [each["number"] for each in api.get("/revisions", params={"limit": 2}).json()] == [
        number,
        number - 1,
    ]
    older = api.get("/revisions", params={"limit": 1, "below": number}).json()
    assert older[0]["number"] == number - 1
    assert api.get(f"/revisions/{number}").json()["text"].endswith("# more\n")
    assert "\n+# more" in api.get(f"/revisions/{number}/diff").json()["diff"]
    backwards = api.get(f"/revisions/{number - 1}/diff", params={"old": number}).json()
    assert "\n-# more" in backwards["diff"]
    values = {"author": "Ada", "reason": "no", "base": number}
    rolled_back = api.post(f"/revisions/{number - 1}/roll-back", json=values)
    assert (rolled_back.status_code, rolled_back.json()["parent"]) == (201, number)
    assert active_text(node) == before
    for path in ("/revisions/999", "/revisions/999/diff"):
        assert api.get(path).status_code == 404
    assert api.post("/revisions/999/roll-back", json=values).status_code == 404


def test_the_api_reports_every_mistake_with_its_line(node: ServedNode, api: httpx.Client) -> None:
    before = node.store.active_revision_number()
    text = 'quiet_seconds = "x"\ndata_dir = "d"\n'
    for answer in (api.post("/check", json={"text": text}), proposal(api, text)):
        assert answer.json()["mistakes"] == [
            {
                "line": 2,
                "key": "data_dir",
                "message": "belongs to each host: set it in the host's file, and remove it here",
            }
        ]
    both = 'quiet_seconds = "x"\nquiet_minutes = 1\n'
    found = api.post("/check", json={"text": both}).json()["mistakes"]
    assert [(each["line"], each["key"]) for each in found] == [
        (1, "quiet_seconds"),
        (2, "quiet_minutes"),
    ]
    assert node.store.active_revision_number() == before


@pytest.mark.parametrize("value", ["", " ", "two\nlines", "nul\0", "x" * 201])
def test_the_api_takes_one_line_as_author_and_as_reason(
    node: ServedNode, api: httpx.Client, value: str
) -> None:
    before = node.store.active_revision_number()
    for key in ("author", "reason") if value else ("reason",):
        assert proposal(api, "quiet_seconds = 1\n", **{key: value}).status_code == 422
    assert node.store.active_revision_number() == before


def test_a_process_that_cannot_use_the_active_revision_is_shown(
    node: ServedNode, api: httpx.Client
) -> None:
    problem = "revision 2 cannot be used: there is no model 'x'"
    node.store.report_revision("host2/worker", 1, problem, datetime.now(UTC))
    page = httpx.get(f"{node.url}/configuration").text
    assert "host2/worker still runs revision 1." in page
    assert "there is no model" in page
    (process,) = api.get("").json()["processes"]
    assert (process["name"], process["number"], process["problem"]) == ("host2/worker", 1, problem)
    node.store.report_revision("host2/worker", 2, "", datetime.now(UTC))
    assert "still runs" not in httpx.get(f"{node.url}/configuration").text


def test_the_page_of_the_node_says_where_its_configuration_is_changed(node: ServedNode) -> None:
    text = httpx.get(f"{node.url}/node").text
    assert "Its configuration is in the database" in text
    assert "edit the file" not in text


def test_a_configuration_in_a_file_is_read_only(tmp_path: Path) -> None:
    text = f'database_url = "sqlite:///{tmp_path}/secret.db"\nquiet_seconds = 5\n'
    with served_node(tmp_path, text) as served:
        page = httpx.get(f"{served.url}/configuration").text
        assert "segnode reload" in page
        assert "Save and activate" not in page
        assert "quiet_seconds = 5" in page
        assert "secret.db" not in page
        api = f"{served.url}/api/configuration"
        shown = httpx.get(api).json()
        assert (shown["is_writable"], shown["revision"]) == (False, None)
        values = {"text": "", "author": "Ada", "reason": "x", "base": None}
        refused = httpx.post(f"{api}/revisions", json=values)
        assert refused.status_code == 409
        assert "segnode reload" in refused.json()["message"]


@pytest.mark.parametrize(("window", "scheme"), windows_and_schemes())
def test_the_pages_have_no_accessibility_violations_and_fit(
    browser: Browser, node: ServedNode, window: ViewportSize, scheme: Scheme
) -> None:
    # The checker is a script, which the page's own policy keeps out.
    context = browser.new_context(bypass_csp=True, viewport=window, color_scheme=scheme)
    shown = context.new_page()
    invalid = active_text(node).replace("equals", "equlas")
    shown.goto(f"{node.url}/configuration")
    shown.get_by_label("Configuration in TOML").fill(invalid)
    shown.get_by_role("button", name="Check").click()
    expect(shown.get_by_role("alert")).to_be_visible()
    for path in ("", "/configuration", "/configuration/revisions/1"):
        if path:
            shown.goto(f"{node.url}{path}")
        results = Axe().run(shown)
        assert results.violations_count == 0, results.generate_report()
        assert shown.evaluate("document.documentElement.scrollWidth") <= window["width"]
    context.close()
