"""Who sends the request that is being answered, for what every page shows.

Templates read it where each page would otherwise pass it on. Routes get it as an argument.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from node.domain.access.identities import Identity
from node.domain.access.permissions import Permission


@dataclass(frozen=True)
class CurrentSender:
    """The identity, None on a public page; and the token for the forms of its session."""

    identity: Identity | None
    csrf_token: str

    @property
    def permission_names(self) -> str:
        """What the sender may do, as words: pages hide the rest, and routes refuse it."""
        found = frozenset[Permission]() if self.identity is None else self.identity.permissions
        return " ".join(sorted(found))


_CURRENT: ContextVar[CurrentSender | None] = ContextVar("current_sender", default=None)


def current_sender() -> CurrentSender:
    """Returns who sends the request that is being answered."""
    return _CURRENT.get() or CurrentSender(None, "")


@contextmanager
def use_sender(sender: CurrentSender) -> Iterator[CurrentSender]:
    """Makes this the current sender within the block."""
    token = _CURRENT.set(sender)
    try:
        yield sender
    finally:
        _CURRENT.reset(token)
