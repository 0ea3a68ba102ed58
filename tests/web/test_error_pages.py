"""Errors are pages for people and JSON for programs, in plain words."""

from collections.abc import Iterator

import httpx
import pytest

from node.web.console import queue_routes
from tests.support.servers.served_node import ServedNode, served_node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    with served_node(tmp_path_factory.mktemp("site")) as served:
        yield served


@pytest.mark.parametrize(
    ("path", "title", "way_on"),
    [
        ("/series/1.2.3", "Not found", 'href="/">Go to the list of series'),
        ("/queues/discard", "Not possible", 'href="/queues">Go to the queues'),
        ("/connections/node", "Not possible", 'href="/connections">Go to the connections'),
        ("/configuration/revisions/9", "Not found", "Go to the configuration"),
    ],
)
def test_an_error_page_has_a_plain_title_and_leads_on(
    node: ServedNode, path: str, title: str, way_on: str
) -> None:
    page = httpx.get(f"{node.url}{path}")
    assert page.is_client_error
    assert f"<h1>{title}</h1>" in page.text
    assert way_on in page.text


def test_an_error_page_shows_commands_as_such(node: ServedNode) -> None:
    page = httpx.get(f"{node.url}/viewer/")
    assert "<code>segnode viewer install</code> installs it" in page.text


def test_a_defect_is_a_page_without_its_details(
    node: ServedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_control: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(queue_routes, "load_queues", fail)
    page = httpx.get(f"{node.url}/queues")
    assert page.status_code == 500
    assert "<h1>Error in the node</h1>" in page.text
    assert "secret detail" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
