"""Sessions: a person who has logged in sends an identifier in a cookie with each request."""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.access.authentication import Refusal, RequestFacts
from node.access.secrets import digest_of_identifier, new_identifier
from node.domain.access.identities import Identity, IdentityOrigin
from node.domain.access.users import Session, SessionStage, User
from node.domain.errors import Transient
from node.settings import AccessOptions
from node.store import Store
from node.store.access.sessions import NewSession

_COOKIE = "segnode-session"
# A browser takes a cookie of this name only by HTTPS and for this host alone (RFC 6265bis 4.1.3).
_SECURE_COOKIE = "__Host-segnode-session"
# The time of the last use is written at most this often.
_RECORDED_EVERY = timedelta(minutes=1)
_EXPIRED = "the session has ended; log in again"
_INCOMPLETE = "the login is not complete: the second factor is missing"


def cookie_name(*, is_https: bool) -> str:
    """Returns the name of the cookie with the identifier of the session."""
    return _SECURE_COOKIE if is_https else _COOKIE


@dataclass(frozen=True)
class SessionKeeper:
    """Opens, finds and ends sessions, by the limits of the settings."""

    store: Store
    options: AccessOptions

    def open(self, user_name: str, stage: SessionStage, facts: RequestFacts) -> str:
        """Opens a session with a new identifier, which it returns; ends the one of the request."""
        identifier = new_identifier()
        session = NewSession(
            digest_of_identifier(identifier), user_name, stage, facts.client_address[:64]
        )
        before = self.identifier_in(facts)
        instead_of = "" if before is None else digest_of_identifier(before)
        self.store.add_session(session, facts.now, instead_of=instead_of)
        if stage is SessionStage.OPEN:
            self.store.record_login(user_name, facts.now)
        return identifier

    def find(self, facts: RequestFacts) -> Session | None:
        """Returns the session of a request unless it has expired, whatever its stage."""
        identifier = self.identifier_in(facts)
        if identifier is None:
            return None
        digest = digest_of_identifier(identifier)
        session = self.store.get_session(digest)
        if session is None:
            return None
        if self._is_expired(session, facts.now):
            self.store.remove_session(digest)
            return None
        if facts.is_by_person and facts.now - session.last_used_at >= _RECORDED_EVERY:
            with suppress(Transient):  # a full database must not keep people from reading
                self.store.record_session_use(digest, facts.now)
        return session

    def end(self, facts: RequestFacts) -> None:
        """Ends the session of a request."""
        identifier = self.identifier_in(facts)
        if identifier is not None:
            self.store.remove_session(digest_of_identifier(identifier))

    def remove_expired(self, now: datetime) -> None:
        """Removes the sessions that have expired."""
        self.store.remove_expired_sessions(now - self._lifetime, now - self._idle_time)

    def identifier_in(self, facts: RequestFacts) -> str | None:
        """Returns the identifier that a request sends in its cookie; None without one."""
        return facts.cookies.get(cookie_name(is_https=facts.is_https)) or None

    @property
    def _lifetime(self) -> timedelta:
        return timedelta(hours=self.options.session_hours)

    @property
    def _idle_time(self) -> timedelta:
        return timedelta(minutes=self.options.idle_minutes)

    def _is_expired(self, session: Session, now: datetime) -> bool:
        return (
            now - session.created_at >= self._lifetime
            or now - session.last_used_at >= self._idle_time
        )


@dataclass(frozen=True)
class SessionAuthenticator:
    """Knows people by their session.

    `named` says why the session of somebody whom a proxy names does not count for a request.
    """

    keeper: SessionKeeper
    named: Callable[[User, RequestFacts], Refusal | None] | None = None

    def __call__(self, facts: RequestFacts) -> Identity | Refusal | None:
        """Returns who has logged in; a refusal if the session has expired or is not open yet."""
        if self.keeper.identifier_in(facts) is None:
            return None
        session = self.keeper.find(facts)
        if session is None:
            return Refusal(_EXPIRED, "the session has ended")
        if session.stage is not SessionStage.OPEN:
            return Refusal(_INCOMPLETE, _INCOMPLETE)
        user = session.user
        refusal = None if self.named is None else self.named(user, facts)
        if refusal is not None:
            return refusal
        return Identity(user.name, user.role.permissions, IdentityOrigin.SESSION)


def csrf_token(cookies: Mapping[str, str], *, is_https: bool) -> str:
    """Returns the token that each form of a session holds; empty without a session.

    Only a page that the node has given to this session knows it (cross-site request forgery).
    """
    identifier = cookies.get(cookie_name(is_https=is_https))
    return digest_of_identifier(f"csrf:{identifier}") if identifier else ""


def is_csrf_token(token: str, expected: str) -> bool:
    """Whether a request holds the token of its session."""
    return bool(expected) and hmac.compare_digest(token.encode(), expected.encode())
