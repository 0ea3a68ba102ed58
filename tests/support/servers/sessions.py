"""Users with open sessions at a served node, for tests of what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from node.access.authentication import RequestFacts
from node.access.sessions import SessionKeeper, cookie_name, csrf_token
from node.domain.access.permissions import Role
from node.domain.access.users import SessionStage
from node.store import Store
from tests.support.servers.served_node import ServedNode

FACTS = RequestFacts(
    headers=(),
    cookies={},
    client_address="127.0.0.1",
    peer_address="127.0.0.1",
    is_https=False,
    is_by_person=True,
    now=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


@dataclass(frozen=True)
class BrowserSession:
    """What a browser sends for a session."""

    identifier: str

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookie."""
        return {cookie_name(is_https=False): self.identifier}

    @property
    def token(self) -> str:
        """The token of its forms."""
        return csrf_token(self.cookies, is_https=False)

    def client(self, node: ServedNode) -> httpx.Client:
        """A client with the cookie, and with the token for what changes something."""
        headers = {"X-CSRF-Token": self.token}
        return httpx.Client(base_url=node.url, cookies=dict(self.cookies), headers=headers)


def add_user(store: Store, name: str, role: Role) -> None:
    """Adds a user without a password."""
    store.add_user(name, role, datetime.now(UTC))


def open_session(node: ServedNode, name: str, now: datetime | None = None) -> BrowserSession:
    """Opens a session of the user, as a login does."""
    keeper = SessionKeeper(node.store, node.settings.access)
    facts = replace(FACTS, now=now or datetime.now(UTC))
    return BrowserSession(keeper.open(name, SessionStage.OPEN, facts))
