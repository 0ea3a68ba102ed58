"""A token that a program uses is a problem before it expires, and for some time afterwards."""

from datetime import timedelta
from pathlib import Path

from node.access.api_tokens import TokenKeeper
from node.domain.access.permissions import Permission
from node.health.tokens import token_problems
from node.settings import Settings
from node.store import Store
from tests.support.factories import NOON, sqlite_url


def test_a_token_in_use_is_named_before_and_after_it_expires(tmp_path: Path) -> None:
    store = Store.open(sqlite_url(tmp_path), tmp_path)
    keeper = TokenKeeper(store, "ada", 3650)
    for name in ("orthanc", "unused"):
        keeper.create(name, frozenset({Permission.SEND}), timedelta(days=100), NOON)
    store.record_api_token_use("orthanc", "192.0.2.1", NOON)
    found = {}
    for days in (69, 71, 101, 131):
        problems = token_problems(Settings(), store, NOON + timedelta(days=days))
        found[days] = [(each.subject, each.urgency.value) for each in problems]
    assert found == {
        69: [],
        71: [("orthanc", "notice")],
        101: [("orthanc", "warning")],
        131: [],
    }
    store.close()
