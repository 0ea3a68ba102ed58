"""Finds out who sends a request: the first authenticator that knows decides."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from node.domain.access.identities import Identity


@dataclass(frozen=True)
class RequestFacts:
    """What a request says about its sender.

    `headers` holds each header as sent, in order, with its name in lower case. `client_address` is
    the IP address of the sender, or empty where it is not known. `peer_address` is that of the
    machine that has connected, such as a proxy; no header changes it. `is_by_person` is false for
    what an open page requests by itself.
    """

    headers: tuple[tuple[str, str], ...]
    cookies: Mapping[str, str]
    client_address: str
    peer_address: str
    is_https: bool
    is_by_person: bool
    now: datetime

    def header(self, name: str) -> str | None:
        """Returns the value of a header that must occur once; None if it is absent or repeated."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True)
class Refusal:
    """The sender identifies itself, but not validly.

    `reason` is for the sender: why, and what to do next. `recorded` states why for the audit trail.
    """

    reason: str
    recorded: str


# None: the request holds nothing that this authenticator knows; the next one decides.
Authenticator = Callable[[RequestFacts], Identity | Refusal | None]


def authenticate(
    authenticators: Iterable[Authenticator], facts: RequestFacts
) -> Identity | Refusal | None:
    """Returns the first answer of the authenticators; None if nobody knows the sender.

    Raises:
        Transient: the database does not answer.
    """
    for authenticator in authenticators:
        answer = authenticator(facts)
        if answer is not None:
            return answer
    return None
