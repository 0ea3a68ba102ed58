"""Tokens: a program sends one in the header Authorization of each request."""

import base64
import binascii
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.access.authentication import Refusal, RequestFacts
from node.access.secrets import digest_of_identifier, new_identifier
from node.domain.access.identities import Identity, IdentityOrigin
from node.domain.access.permissions import Permission
from node.domain.access.tokens import ApiToken, token_name_of
from node.domain.access.users import AccountError
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.errors import Transient
from node.store import Store

# People and scanners recognise a token that has got into a file or a log.
PREFIX = "segnode_"
# The time of the last use is written at most this often.
_RECORDED_EVERY = timedelta(minutes=1)
_NOT_READABLE = "the header Authorization holds no token; send “Authorization: Bearer TOKEN”"
_UNKNOWN = "the token is unknown or revoked; “segnode tokens list” names the valid ones"


@dataclass(frozen=True)
class TokenKeeper:
    """Creates and revokes tokens on behalf of `by`, who uses this interface from this address.

    Each change has a record in the audit trail. A token is valid for at most `max_days`.
    """

    store: Store
    by: str
    max_days: int
    interface: AuditInterface = AuditInterface.CLI
    address: str = ""

    def create(
        self, name: str, permissions: frozenset[Permission], valid: timedelta, now: datetime
    ) -> str:
        """Adds a token and returns it; the database keeps only its digest.

        Raises:
            AccountError: a token cannot have this name, has it already, may do nothing, or is to be
                valid for too long.
        """
        if not permissions:
            raise AccountError("choose at least one thing that the program may do")
        if valid > timedelta(days=self.max_days):
            raise AccountError(
                f"a token is valid for at most {self.max_days} days here (access.token_max_days)"
            )
        text = PREFIX + new_identifier()
        token = ApiToken(token_name_of(name), permissions, now, self.by, now + valid)
        may = ", ".join(sorted(permissions))
        until = f"{token.expires_at:%Y-%m-%d}"
        record = self._audit_record(now, token.name, f"created with {may}, until {until}")
        self.store.add_api_token(token, digest_of_identifier(text), record)
        return text

    def revoke(self, name: str, now: datetime) -> None:
        """Removes a token; every host refuses it from then on.

        Raises:
            AccountError: there is no token of that name.
        """
        known = token_name_of(name)
        self.store.remove_api_token(known, self._audit_record(now, known, "revoked"))

    def _audit_record(self, now: datetime, name: str, detail: str) -> AuditRecord:
        return AuditRecord(
            now,
            AuditAction.TOKEN_CHANGED,
            AuditOutcome.SUCCESS,
            AuditActor(self.by, self.interface, self.address),
            (AuditObject(AuditObjectType.TOKEN, name),),
            detail,
        )


@dataclass(frozen=True)
class TokenAuthenticator:
    """Knows programs by their token."""

    store: Store

    def __call__(self, facts: RequestFacts) -> Identity | Refusal | None:
        """Returns the program; a refusal if its token does not count.

        Clients that know no bearer tokens send it as the password of HTTP Basic (RFC 7617).
        """
        header = facts.header("authorization")
        if header is None:
            return None
        scheme, text = _credentials_in(header)
        if scheme == "basic" and not text.startswith(PREFIX):
            return None  # a proxy has a password of its own
        if scheme not in {"basic", "bearer"} or not text:
            return Refusal(_NOT_READABLE, "the header Authorization holds no token")
        token = self.store.find_api_token(digest_of_identifier(text))
        if token is None:
            return Refusal(_UNKNOWN, "the token is unknown or revoked")
        if facts.now >= token.expires_at:
            expired = f"the token {token.name} has expired"
            return Refusal(f"{expired}; create another one", expired)
        if token.last_used_at is None or facts.now - token.last_used_at >= _RECORDED_EVERY:
            # A full database must not keep programs from reading.
            with suppress(Transient):
                self.store.record_api_token_use(token.name, facts.client_address[:64], facts.now)
        return Identity(f"token {token.name}", token.permissions, IdentityOrigin.TOKEN)


def _credentials_in(header: str) -> tuple[str, str]:
    """Returns the scheme of the header Authorization, and its token or password."""
    scheme, _, value = header.strip().partition(" ")
    scheme, value = scheme.lower(), value.strip()
    if scheme != "basic":
        return scheme, value
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return scheme, ""
    return scheme, decoded.partition(":")[2]
