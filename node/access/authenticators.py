"""The authenticators of a site, in the order in which they decide."""

from collections.abc import Sequence

from node.access.api_tokens import TokenAuthenticator
from node.access.authentication import Authenticator, RequestFacts
from node.access.proxy_login import NamedByProxy
from node.access.sessions import SessionAuthenticator, SessionKeeper
from node.domain.access.identities import Identity, local_identity
from node.domain.queues.selection import Interface
from node.settings import Settings
from node.store import Store


def authenticators_from(settings: Settings, store: Store) -> Sequence[Authenticator]:
    """Returns the authenticators that the settings want; the first that knows a sender decides."""
    if settings.access.login == "none":
        return (_everybody,)
    proxy = settings.access.proxy
    named = None if proxy is None else NamedByProxy(store, proxy)
    sessions = SessionAuthenticator(SessionKeeper(store, settings.access), named)
    return (TokenAuthenticator(store), sessions)


def _everybody(_facts: RequestFacts) -> Identity:
    """Gives all permissions to everybody: only programs and people at this machine connect."""
    return local_identity(Interface.CONSOLE)
