"""Set-up, login, second factor, users and logout in a real browser."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pyotp
import pytest
import structlog
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from node.access.first_start import announce_set_up
from node.domain.access.permissions import Role
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import add_user, open_session

PASSWORD = "violet tractor sings quietly"
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
NEW_PASSWORD = "seven paper lanterns at noon"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ServedNode]:
    """A node that has never had a user."""
    with served_node(tmp_path, login="required") as served:
        yield served


def check(page: Page) -> None:
    """Checks that the page has no accessibility violations in either scheme, and fits a phone."""
    for scheme in _SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size(size)


def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        page.locator(f"input[name={name}]:visible").first.fill(value)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def log_in(page: Page, name: str, password: str) -> None:
    fill(page, name=name, password=password)
    press(page, "Log in")


def test_from_the_set_up_to_the_logout(page: Page, site: ServedNode) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(20_000)
    _set_up(page, site)
    _log_in_for_a_page(page, site)
    secret = _set_up_second_factor(page)
    _press_a_button_of_a_live_part(page, site)
    code = _add_a_user(page)
    _log_out_and_in_with_the_second_factor(page, site, secret)
    _set_a_password(page, site, code)
    assert errors == []


def _set_up(page: Page, site: ServedNode) -> None:
    with structlog.testing.capture_logs() as lines:
        announce_set_up(site.store)
    page.goto(site.url)
    expect(page.get_by_role("heading", name="Create the first administrator")).to_be_visible()
    check(page)
    fill(page, code="wrong", name="admin", password=PASSWORD, repeated=PASSWORD)
    press(page, "Create")
    expect(page.get_by_role("alert")).to_contain_text("The code is wrong")
    fill(page, code=lines[0]["code"], password=PASSWORD, repeated=PASSWORD)
    press(page, "Create")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def _log_in_for_a_page(page: Page, site: ServedNode) -> None:
    page.goto(f"{site.url}/queues")
    check(page)
    log_in(page, "admin", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("user name or the password is wrong")
    check(page)
    log_in(page, "admin", PASSWORD)
    expect(page).to_have_url(f"{site.url}/queues")


def _set_up_second_factor(page: Page) -> str:
    page.get_by_role("link", name="admin").click()
    check(page)
    page.get_by_role("link", name="Set up a second factor").click()
    check(page)
    secret = page.locator("#secret").inner_text()
    fill(page, code=pyotp.TOTP(secret).now(), current=PASSWORD)
    press(page, "Continue")
    expect(page.get_by_role("heading", name="Keep your recovery codes")).to_be_visible()
    check(page)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 recovery codes left")).to_be_visible()
    check(page)
    return secret


def _press_a_button_of_a_live_part(page: Page, site: ServedNode) -> None:
    """Presses buttons in a part that the page updates by itself."""
    page.goto(f"{site.url}/queues")
    page.locator("summary", has_text="Pause").first.click()
    page.get_by_role("button", name=re.compile("^Pause")).first.click()
    page.get_by_role("button", name=re.compile("^Resume")).first.click()
    expect(page.locator("summary", has_text="Pause").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Resume"))).to_have_count(0)


def _add_a_user(page: Page) -> str:
    page.get_by_role("link", name="Access").click()
    check(page)
    fill(page, name="jdoe")
    page.get_by_label("Role", exact=True).select_option("operator")
    press(page, "Add")
    check(page)
    return page.locator("#code").inner_text()


def _log_out_and_in_with_the_second_factor(page: Page, site: ServedNode, secret: str) -> None:
    page.goto(f"{site.url}/users")
    press(page, "Log out")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    log_in(page, "admin", PASSWORD)
    check(page)
    fill(page, code="000000")
    press(page, "Continue")
    expect(page.get_by_role("alert")).to_contain_text("code is wrong")
    # The code of the next step: that of the current one may be used.
    fill(page, code=pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30)))
    press(page, "Continue")
    expect(page).to_have_url(f"{site.url}/users")
    press(page, "Log out")


def _set_a_password(page: Page, site: ServedNode, code: str) -> None:
    page.get_by_role("link", name="Set your password").click()
    check(page)
    fill(page, name="jdoe", code=code, password=NEW_PASSWORD, repeated=NEW_PASSWORD)
    press(page, "Set the password")
    log_in(page, "jdoe", NEW_PASSWORD)
    page.goto(f"{site.url}/queues")
    expect(page.get_by_role("link", name="Access")).to_have_count(0)
    page.goto(f"{site.url}/users")
    expect(page.get_by_text("which jdoe does not have")).to_be_visible()
    check(page)


def test_an_open_page_shows_the_login_when_its_session_ends(page: Page, site: ServedNode) -> None:
    add_user(site.store, "admin", Role.ADMINISTRATOR)
    log_in_as(page, site, "admin")
    site.streams.access_period_s = 0.0
    page.goto(f"{site.url}/overview")
    expect(page.get_by_role("heading", name="Overview")).to_be_attached()
    site.store.remove_sessions_of("admin")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=30_000)
    expect(page).to_have_url(f"{site.url}/login?next=%2Foverview")


def test_a_page_hides_what_the_user_may_not_do(page: Page, site: ServedNode) -> None:
    add_user(site.store, "admin", Role.ADMINISTRATOR)
    for role in (Role.VIEWER, Role.OPERATOR, Role.CONFIGURATOR):
        add_user(site.store, role, role)
        log_in_as(page, site, role)
        visible = {}
        for path in ("/queues", "/connections", "/configuration/rules"):
            page.goto(f"{site.url}{path}")
            controls = (
                page.locator("main").locator("button, a.button, summary").filter(visible=True)
            )
            visible[path] = [text for text in controls.all_inner_texts() if text]
        may_operate, may_configure = role is not Role.VIEWER, role is Role.CONFIGURATOR
        assert any("Pause" in text for text in visible["/queues"]) == may_operate
        assert any("Test" in text for text in visible["/connections"]) == may_operate
        assert any("rule" in text for text in visible["/configuration/rules"]) == may_configure


def log_in_as(page: Page, site: ServedNode, name: str) -> None:
    page.context.clear_cookies()
    session = open_session(site, name)
    page.context.add_cookies(
        [{"name": n, "value": v, "url": site.url} for n, v in session.cookies.items()]
    )
