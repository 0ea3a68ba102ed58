"""The table of tokens of programs. It holds digests of the tokens, never these themselves."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Row

from node.domain.access.permissions import Permission
from node.domain.access.tokens import ApiToken
from node.domain.access.users import AccountError
from node.domain.audit.records import AuditRecord
from node.store.access.tables import API_TOKENS
from node.store.audit_trail.trail import append_record
from node.store.repository import Repository

_T = API_TOKENS.c


class ApiTokens(Repository):
    """The tokens of programs, which every web process of the site reads."""

    def add_api_token(self, token: ApiToken, digest: str, record: AuditRecord) -> None:
        """Adds a token and the record of it in the audit trail.

        Raises:
            AccountError: there is a token of that name.
        """
        row = {
            "name": token.name,
            "token_digest": digest,
            "permissions": ",".join(sorted(each.value for each in token.permissions)),
            "created_at": token.created_at,
            "created_by": token.created_by,
            "expires_at": token.expires_at,
        }
        statement = self._database.insert(API_TOKENS).values(row).on_conflict_do_nothing()
        with self._database.writing() as connection:
            if connection.execute(statement.returning(_T.name)).one_or_none() is None:
                raise AccountError(f"there is a token {token.name} already; revoke it first")
            append_record(self._database, connection, record)

    def list_api_tokens(self) -> list[ApiToken]:
        """Returns all tokens by name, expired ones as well."""
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(select(API_TOKENS).order_by(_T.name))]

    def find_api_token(self, digest: str) -> ApiToken | None:
        """Returns the token with this digest; None if there is none."""
        with self._database.reading() as connection:
            row = connection.execute(
                select(API_TOKENS).where(_T.token_digest == digest)
            ).one_or_none()
        return None if row is None else _token(row)

    def record_api_token_use(self, name: str, address: str, now: datetime) -> None:
        """Records the last use of a token."""
        change = update(API_TOKENS).where(_T.name == name)
        with self._database.writing() as connection:
            connection.execute(change.values(last_used_at=now, last_used_from=address))

    def remove_api_token(self, name: str, record: AuditRecord) -> None:
        """Removes a token and adds the record of it to the audit trail.

        Every host refuses the token from then on.

        Raises:
            AccountError: there is no token of that name.
        """
        statement = delete(API_TOKENS).where(_T.name == name).returning(_T.name)
        with self._database.writing() as connection:
            if connection.execute(statement).one_or_none() is None:
                raise AccountError(f"there is no token {name}")
            append_record(self._database, connection, record)


def _token(row: Row[Any]) -> ApiToken:
    # A newer version may store permissions that this one does not know: it grants them to nobody.
    known = {each.value for each in Permission}
    permissions = frozenset(Permission(e) for e in row.permissions.split(",") if e in known)
    if Permission.OPERATE in permissions:  # as an earlier version stored it
        permissions |= {Permission.SEND}
    return ApiToken(
        row.name,
        permissions,
        row.created_at,
        row.created_by,
        row.expires_at,
        row.last_used_at,
        row.last_used_from,
    )
