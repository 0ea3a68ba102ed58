"""Login by a reverse proxy that knows people already, and names them in headers.

Anybody who can reach the node could send such headers. They count only in requests of machines that
the settings name as the proxy.
"""

import hmac
import unicodedata
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

import structlog

from node.access.authentication import Refusal, RequestFacts
from node.access.login import Login, OpenedSession
from node.access.login_records import failed_login_record
from node.access.secrets import digest_of_identifier
from node.domain.access.external_users import ExternalPerson, composed, is_external
from node.domain.access.permissions import highest_role
from node.domain.access.users import AccountError, SessionStage, User
from node.settings.access.proxy import ProxyLoginOptions
from node.settings.credentials.options import secret_source
from node.store import Store

_LOG = structlog.get_logger()
# The issuer of people whom the proxy names. That of an identity provider is an address.
_ISSUER = "proxy"
_MAX_NAME_LENGTH = 255
# Each states why: for the person, with what to do next, and for the reader of the audit trail.
_NOT_BY_PROXY = Refusal(
    "this request does not come by the proxy that logs people in; open the console at its address, "
    "or log in with an account of this node",
    "the request does not come by the proxy",
)
_NOT_NAMED = Refusal(
    "the proxy does not name you; log in there, or with an account of this node",
    "the proxy names nobody",
)
_UNUSABLE = Refusal(
    "the proxy sends a name that the node cannot use; ask the administrator of the proxy to send "
    f"one name in UTF-8, without a comma and with at most {_MAX_NAME_LENGTH} characters",
    "the name that the proxy sends cannot be used",
)
_ALIKE = Refusal(
    "somebody has used this node whose name differs from yours only in its spelling, and the node "
    "cannot know whether that is you; ask the administrator of the proxy to write your name as "
    "before",
    "the name differs from that of an earlier user only in its spelling",
)
_NO_ROLE = Refusal(
    "the proxy has logged you in, but none of your groups may use this node; ask its administrator",
    "no group of the person has a role",
)
_DISABLED = Refusal(
    "your user is disabled on this node; ask its administrator", "the user is disabled"
)
_ANOTHER = Refusal(
    "the proxy names another person than the one who has logged in; log in again",
    "the proxy names another person than the one who has logged in",
)
_OTHER_GROUPS = Refusal(
    "your groups have changed since you have logged in; log in again",
    "the groups of the person have changed since the login",
)


class ProxyLoginRefused(AccountError):
    """The proxy names nobody who may use the node; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


def is_named_by_proxy(options: ProxyLoginOptions, facts: RequestFacts) -> bool:
    """Whether the proxy of the site has sent the request, and names a person in it.

    The name may be one that the node cannot use.

    Raises:
        Transient: the secret of the proxy cannot be read.
    """
    return _is_by_proxy(options, facts) and _has_name(options, facts)


def named_person(options: ProxyLoginOptions, facts: RequestFacts) -> ExternalPerson:
    """Returns the person whom the proxy names in a request.

    Raises:
        ProxyLoginRefused: the proxy has not sent the request, names nobody, or the person has no
            role.
        Transient: the secret of the proxy cannot be read.
    """
    if not _is_by_proxy(options, facts):
        raise ProxyLoginRefused(_NOT_BY_PROXY)
    name = _user_name(options, facts)
    if name is None:
        raise ProxyLoginRefused(_UNUSABLE if _has_name(options, facts) else _NOT_NAMED)
    role = highest_role(_groups(options, facts), options.roles)
    if role is None:
        raise ProxyLoginRefused(_NO_ROLE)
    subject = _subject(name)
    digest = digest_of_identifier(f"{_ISSUER}\n{subject}")
    return ExternalPerson(_ISSUER, subject, name, digest, role)


@dataclass(frozen=True)
class ProxyLogin:
    """Opens sessions for people whom the proxy names."""

    options: ProxyLoginOptions
    login: Login

    def open(self, facts: RequestFacts) -> OpenedSession:
        """Opens a session for the person of a request; adds the user at the first login.

        Raises:
            ProxyLoginRefused: as `named_person`, or the user is disabled.
            Transient: the database does not answer, or the secret cannot be read.
        """
        try:
            user = self._user(facts)
        except ProxyLoginRefused as error:
            reason = error.refusal.recorded
            _LOG.warning("login.failed", by="proxy", reason=reason, address=facts.client_address)
            record = failed_login_record(self._known_name(facts), facts, f"by the proxy: {reason}")
            self.login.store.record(record)
            raise
        return self.login.open(user, SessionStage.OPEN, facts)

    def _known_name(self, facts: RequestFacts) -> str:
        """Returns the user whom the proxy names; empty before the first login, or for nobody."""
        name = _user_name(self.options, facts) if _is_by_proxy(self.options, facts) else None
        user = None if name is None else self.login.store.external_user(_ISSUER, _subject(name))
        return "" if user is None else user.name

    def _user(self, facts: RequestFacts) -> User:
        person = named_person(self.options, facts)
        self._require_known_spelling(person)
        user = self.login.store.record_external_login(person, facts.now)
        if user.is_disabled:
            raise ProxyLoginRefused(_DISABLED)
        return user

    def _require_known_spelling(self, person: ExternalPerson) -> None:
        """Refuses a new name that some directories take for that of an earlier user.

        Two people must not share a user, and a disabled user must not come back by another
        spelling.
        """
        subjects = self.login.store.external_subjects(person.issuer)
        if person.subject in subjects:
            return
        likeness = _likeness(person.subject)
        if any(_likeness(each) == likeness for each in subjects):
            raise ProxyLoginRefused(_ALIKE)


@dataclass(frozen=True)
class NamedByProxy:
    """Checks that the proxy still names the person of a session, with the same role.

    A logout at the proxy, another person in the same browser and a change of groups end the session
    thereby.
    """

    store: Store
    options: ProxyLoginOptions

    def __call__(self, user: User, facts: RequestFacts) -> Refusal | None:
        """Returns why a session of `user` does not count; None if it does.

        The sessions of accounts of the node do not depend on the proxy.

        Raises:
            Transient: the database does not answer, or the secret cannot be read.
        """
        if not is_external(user.name):
            return None
        try:
            person = named_person(self.options, facts)
        except ProxyLoginRefused as error:
            return error.refusal
        named = self.store.external_user(person.issuer, person.subject)
        if named is None or named.name != user.name:
            return _ANOTHER
        return None if person.role is user.role else _OTHER_GROUPS


def _is_by_proxy(options: ProxyLoginOptions, facts: RequestFacts) -> bool:
    if not _is_in(facts.peer_address, options.addresses):
        return False
    if not options.has_secret:
        return True
    secret = secret_source(options, "access.proxy", "secret").current()
    sent = facts.header(options.secret_header.lower()) or ""
    return hmac.compare_digest(sent.encode(), secret.encode())


def _is_in(address: str, networks: tuple[str, ...]) -> bool:
    try:
        peer = ip_address(address)
    except ValueError:  # unknown, or the name of a socket
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in ip_network(each) for each in networks)


def _user_name(options: ProxyLoginOptions, facts: RequestFacts) -> str | None:
    """Returns the name in the header; None if it is missing, repeated or no name.

    Programs between may join repeated headers with a comma.
    """
    name = _text(facts, options.user_header).strip()
    is_name = name.isprintable() and "," not in name and len(_subject(name)) <= _MAX_NAME_LENGTH
    return name if name and is_name else None


def _has_name(options: ProxyLoginOptions, facts: RequestFacts) -> bool:
    """Whether the header is there, in any form."""
    header = options.user_header.lower()
    return any(key == header and value.strip() for key, value in facts.headers)


def _subject(name: str) -> str:
    """Returns what identifies a person: the name, whose case and composition do not matter."""
    return composed(name)


def _likeness(name: str) -> str:
    """Returns what names have in common that directories may take for each other (RFC 4518 2).

    Such are "ß" and "ss", or wide letters and common ones.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _groups(options: ProxyLoginOptions, facts: RequestFacts) -> list[str]:
    names = _text(facts, options.groups_header).split(options.group_separator)
    return [name.strip() for name in names]


def _text(facts: RequestFacts, header: str) -> str:
    """Returns the value of a header in UTF-8; empty if it is missing, repeated or no UTF-8."""
    value = facts.header(header.lower())
    try:
        return "" if value is None else value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return ""
