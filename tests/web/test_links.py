"""Every page of the console can be reached by links; nobody has to know an address."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from node.configuration.site_configuration import import_file
from node.domain.access.permissions import Role
from node.web.dependencies import utc_now
from node.web.permissions import ROUTE_PERMISSIONS
from tests.support.servers.served_node import served_node
from tests.support.servers.sessions import add_user, open_session

_NO_PAGES = ("/api/", "/dicom-web", "/events/", "/fragments/", "/health", "/metrics", "/viewer")
# Questions about one delivery, which only its row links to.
_QUESTIONS = {"/queues/redirect", "/queues/discard"}


def test_every_page_is_reached_from_the_overview(tmp_path: Path) -> None:
    pages = {
        path
        for method, path in ROUTE_PERMISSIONS
        if method == "GET" and "{" not in path and not path.startswith(_NO_PAGES)
    }
    with served_node(tmp_path, 'config = "database"\n', login="required") as node:
        import_file(node.store, node.settings.file, utc_now())
        add_user(node.store, "admin", Role.ADMINISTRATOR)
        with open_session(node, "admin").client(node) as client:
            assert pages - _QUESTIONS <= linked_pages(client, pages)


def linked_pages(client: httpx.Client, pages: set[str]) -> set[str]:
    """Returns those of the pages to which links lead from the overview."""
    found, waiting = {"/overview"}, ["/overview"]
    while waiting:
        text = client.get(waiting.pop()).raise_for_status().text
        linked = {urlsplit(link).path for link in re.findall(r'<a [^>]*href="(/[^"]*)"', text)}
        new = (linked & pages) - found
        found |= new
        waiting += new
    return found
