"""What an administrator does in the console with connections, rules and the configuration."""

import re

from playwright.sync_api import Locator, Page, expect

from node.demo.orthanc_pacs import OrthancPacs
from node.domain.identifiers import Uid
from node.processes.role_process import Role
from tests.support.processes.running_node import RunningNode
from tests.support.waiting import until

_WAIT_S = 60.0
_OF_CONFIGURATION = ("Connections", "Rules")


_PASSWORD = "violet tractor sings quietly"


def become_administrator(page: Page, node: RunningNode) -> None:
    """Creates the first administrator with the code in the log, and logs in."""
    code = re.search(r'"code": "([\w-]+)"', node.log())
    assert code is not None
    fill(page, code=code[1], name="admin", password=_PASSWORD, repeated=_PASSWORD)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    fill(page, name="admin", password=_PASSWORD)
    page.get_by_role("button", name="Log in").click()


def add_orthanc(page: Page, orthanc: OrthancPacs) -> None:
    """Adds Orthanc as peer and destination in the console, and tests it."""
    open_page(page, "Connections")
    page.get_by_role("link", name="Add one of the senders and other peers").click()
    expect(page.get_by_role("note")).to_contain_text("add your senders too")
    fill(page, name="orthanc", ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port)
    save(page, "the PACS")
    page.get_by_role("link", name="Add one of the destinations").click()
    page.get_by_role("link", name="PACS by C-STORE").click()
    fill(page, name="pacs")
    page.get_by_label("Peer", exact=True).select_option("orthanc")
    save(page, "results go to the PACS")
    page.get_by_role("button", name="Test destinations.pacs").click()
    expect(page.get_by_role("status").filter(has_text="It works.")).to_be_visible()


def write_rule(page: Page, localizer: Uid) -> None:
    """Writes a rule with the form; its dry run shows that it also takes the localizer."""
    open_page(page, "Rules")
    with page.expect_navigation():  # until the script of the form runs
        page.click("#add-rule")
    page.fill("#name", "abdomen")
    expect(page.locator("#destination-pacs")).to_be_checked()
    text, result = page.locator("#text"), page.locator("#dry-run")
    fill(page, **{"attribute-1": "", "value-1": ""})
    expect(text).not_to_have_value(re.compile("ImageType"))
    at_least_slices(page).fill("4")
    expect(text).to_have_value(re.compile("at_least_slices = 4 }"))
    page.click("#try")
    expect(result).to_contain_text("1 of 1 series of the last 7 days would be decided differently")
    expect(result.get_by_role("link")).to_have_attribute("href", f"/series/{localizer}")
    at_least_slices(page).fill("30")
    expect(text).to_have_value(re.compile("at_least_slices = 30 }"))
    page.click("#try")
    expect(result).to_contain_text("0 of 1 series")
    page.fill("#reason", "livers of thin series")
    page.click("#save")
    expect(page.locator(".rule-list h2")).to_have_text(["liver", "abdomen"])


def read_mistake_of_invalid_rule(page: Page, node: RunningNode) -> None:
    """An invalid rule is explained and not saved."""
    before = node.store.active_revision_number()
    page.goto(f"{node.url}/configuration/rules")
    page.click("#edit-2")
    text = page.locator("#text").input_value()
    page.fill("#text", text.replace("Modality", "Modalty"))
    page.click("#save")
    expect(page.locator("#messages")).to_contain_text("(did you mean 'Modality'?)")
    assert node.store.active_revision_number() == before


def roll_back(page: Page, node: RunningNode) -> None:
    """A valid change that was none of a good idea is rolled back; every process follows."""
    page.goto(f"{node.url}/configuration/rules")
    good = node.store.active_revision()
    assert good is not None
    page.click("#disable-2")
    expect(page.locator(".rule-list h2")).to_have_text(["liver", "abdomen disabled"])
    open_page(page, "Configuration")
    page.get_by_role("link", name=f"Revision {good.number}", exact=True).click()
    page.get_by_label("Reason").fill("the rule is needed")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"Revision {good.number + 2} is active.")).to_be_visible()
    active = node.store.active_revision()
    assert active is not None
    assert active.text == good.text

    def followed() -> bool:
        answer = page.request.get(f"{node.url}/api/configuration").json()
        running = [(each["number"], each["problem"]) for each in answer["processes"]]
        return set(running) == {(active.number, "")} and len(running) >= len(Role)

    until(followed, _WAIT_S, "every process to run the revision")


def check_history(page: Page) -> None:
    """The history of the configuration names author, time and reason of every change."""
    lines = page.get_by_role("region", name="History").get_by_role("listitem")
    expected = [
        "by admin the rule is needed",
        "by admin rule 'abdomen' is disabled",
        "by admin the new scanner",
        "by admin livers of thin series",
        "by admin results go to the PACS",
        "by admin the PACS",
    ]
    for number, text in enumerate(expected):
        expect(lines.nth(number)).to_contain_text(text)
        expect(lines.nth(number).locator("time")).to_be_visible()


def open_page(page: Page, name: str) -> None:
    """Opens a page by its link; those about the configuration have a row of links of their own."""
    if name in _OF_CONFIGURATION:
        _click(page, "Pages", "Configuration")
        _click(page, "Pages about the configuration", name)
    else:
        _click(page, "Pages", name)


def _click(page: Page, row: str, name: str) -> None:
    links = page.get_by_role("navigation", name=row, exact=True)
    links.get_by_role("link", name=name, exact=True).click()


def fill(page: Page, **values: object) -> None:
    """Fills in the fields with these identifiers."""
    for key, value in values.items():
        page.locator(f"#{key}").fill(str(value))


def save(page: Page, reason: str) -> None:
    fill(page, reason=reason)
    page.get_by_role("button", name="Save").click()


def at_least_slices(page: Page) -> Locator:
    """The field of the smallest number of slices."""
    row = page.locator(".condition-row").filter(
        has=page.locator("option[value=at_least_slices][selected]")
    )
    return row.get_by_placeholder("Value")
