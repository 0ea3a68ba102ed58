"""A configurator does not become an administrator by a change of the configuration."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from node.configuration.site_configuration import import_file
from node.domain.access.permissions import Role
from tests.support.servers.served_node import ServedNode, served_node
from tests.support.servers.sessions import add_user, open_session

OPEN = '[access]\nlogin = "none"\n[web]\nhost = "127.0.0.1"\n'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedNode]:
    folder = tmp_path_factory.mktemp("site")
    with served_node(folder, 'config = "database"\n', login="required") as served:
        import_file(served.store, served.settings.file, datetime.now(UTC))
        for role in (Role.CONFIGURATOR, Role.ADMINISTRATOR):
            add_user(served.store, role, role)
        yield served


def test_only_an_administrator_turns_logins_off(node: ServedNode) -> None:
    body = {"text": OPEN, "base": 1, "author": "x", "reason": "x"}
    with open_session(node, Role.CONFIGURATOR).client(node) as client:
        answer = client.post("/api/configuration/revisions", json=body)
        assert answer.status_code == 403
        assert "this needs an administrator: it changes [access]" in answer.json()["message"]
        page = client.post("/configuration", data={key: str(body[key]) for key in body})
        assert page.status_code == 403
        assert "Not saved: this needs an administrator" in page.text
        body["text"] = "quiet_seconds = 3\n"
        assert client.post("/api/configuration/revisions", json=body).status_code == 201
    with open_session(node, Role.ADMINISTRATOR).client(node) as client:
        again = {**body, "text": OPEN, "base": 2}
        assert client.post("/api/configuration/revisions", json=again).status_code == 201
