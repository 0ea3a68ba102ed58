"""`make screenshots`: renders every page of the console in its states, to look at.

Each page is rendered light and dark, on a wide screen and on a phone. axe checks each once in both
schemes, and no page may be wider than its window. The pictures of the README are written, too.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.screenshots.access_pages import ACCESS_PAGES
from tests.screenshots.pages import PAGES, ShownPage
from tests.screenshots.readme_pictures import README_PICTURES, write_readme_pictures
from tests.screenshots.sites import README_SITE, SITES
from tests.support.servers.served_node import ServedNode, running_worker, served_node
from tests.support.servers.sessions import open_session

_FOLDER = Path("screenshots")
_WIDTHS = (1280, 390)
_HEIGHT = 900
_SCHEMES = ("light", "dark")
_CHECKED = ((1280, "light"), (390, "dark"))
_ARGUMENTS = [
    "--no-sandbox",  # as root in containers
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL for OHIF without a graphics card
    "--enable-unsafe-swiftshader",
]
_BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_TIMEOUT_MS = 60_000


def main() -> None:
    """Writes the pictures into a folder: the first argument, or `screenshots`.

    Further arguments are the sites to render, such as `normal`.
    """
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=_TIMEOUT_MS)
    faults: list[str] = []
    with _browser() as browser:
        for name, site in SITES.items():
            if sys.argv[2:] and name not in sys.argv[2:]:
                continue
            with tempfile.TemporaryDirectory() as scratch, _node(Path(scratch), name) as node:
                site.fill(node)
                for page in (each for each in (*PAGES, *ACCESS_PAGES) if name in each.sites):
                    _keep_the_worker_alive(node)
                    faults += _render(browser, node, page, name, folder)
                if name == README_SITE:
                    _keep_the_worker_alive(node)
                    write_readme_pictures(browser, node, README_PICTURES)
    print(f"The pictures are in {folder}.")
    if faults:
        raise SystemExit("\n".join(faults))


def _keep_the_worker_alive(node: ServedNode) -> None:
    # The pictures take longer than a worker may be silent.
    node.store.record_heartbeat("worker", datetime.now(UTC))


@contextmanager
def _node(folder: Path, name: str) -> Iterator[ServedNode]:
    site = SITES[name]
    with served_node(folder, site.configuration, login=site.login) as node:
        if not site.has_worker:
            yield node
            return
        with running_worker(node):
            yield node


@contextmanager
def _browser() -> Iterator[Browser]:
    found = [path for name in _BROWSERS if (path := shutil.which(name))]
    if not found:
        raise SystemExit("no Chromium is installed: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=_ARGUMENTS)
        yield browser
        browser.close()


def _render(
    browser: Browser, node: ServedNode, shown: ShownPage, site: str, folder: Path
) -> list[str]:
    """Writes the pictures of a page on a site; returns its faults."""
    faults = []
    for width in _WIDTHS:
        for scheme in _SCHEMES:
            context = browser.new_context(
                viewport={"width": width, "height": _HEIGHT},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            if shown.user:
                session = open_session(node, shown.user)
                context.add_cookies(
                    [{"name": k, "value": v, "url": node.url} for k, v in session.cookies.items()]
                )
            page = context.new_page()
            page.set_default_timeout(_TIMEOUT_MS)
            page.goto(f"{node.url}{shown.address(node)}")
            shown.prepare(page)
            page.wait_for_load_state()
            _wait_for_images(page)
            name = f"{shown.name}-{site}-{width}-{scheme}"
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{name} is wider than the window")
            if (width, scheme) in _CHECKED:
                faults += [f"{name}: {text}" for text in _violations(page)]
            context.close()
    return faults


def _wait_for_images(page: Page) -> None:
    """Waits for the pictures of the page and for the list of images of the viewer."""
    page.evaluate(
        """Promise.all([...document.images].map((each) => {
            each.loading = "eager";
            return each.decode().catch(() => {});
        }))"""
    )
    expect(page.get_by_text("Loading the list of images")).to_have_count(0)


def _violations(page: Page) -> list[str]:
    found = Axe().run(page)
    return [found.generate_report()] if found.violations_count else []


if __name__ == "__main__":
    main()
