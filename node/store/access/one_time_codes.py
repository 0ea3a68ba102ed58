"""The table of one-time codes. It holds digests, never the codes themselves."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, or_, select
from sqlalchemy.engine import Connection

from node.domain.access.users import CodePurpose
from node.store.access.tables import ONE_TIME_CODES
from node.store.repository import Repository

_C = ONE_TIME_CODES.c


class OneTimeCodes(Repository):
    """Codes that can be used once, each for its purpose and user."""

    def replace_code(
        self,
        purpose: CodePurpose,
        digest: str,
        *,
        user_name: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        """Stores a code; earlier ones of the same purpose and user do not count any more."""
        row = {
            "code_digest": digest,
            "purpose": purpose.value,
            "user_name": user_name,
            "expires_at": expires_at,
        }
        with self._database.writing() as connection:
            connection.execute(
                delete(ONE_TIME_CODES).where(
                    _C.purpose == purpose.value, _C.user_name.is_not_distinct_from(user_name)
                )
            )
            connection.execute(insert(ONE_TIME_CODES).values(row))

    def use_code(
        self, purpose: CodePurpose, digest: str, now: datetime, *, user_name: str | None = None
    ) -> bool:
        """Removes the code; False if there is no such code, or it is too old."""
        with self._database.writing() as connection:
            return use_code(connection, purpose, digest, now, user_name)

    def has_code(self, purpose: CodePurpose, digest: str, now: datetime) -> bool:
        """Whether there is such a code of nobody in particular, which is not too old."""
        query = select(_C.purpose).where(*_valid(purpose, digest, now, None))
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def remove_codes(self, purpose: CodePurpose) -> None:
        """Removes every code of a purpose."""
        with self._database.writing() as connection:
            connection.execute(delete(ONE_TIME_CODES).where(_C.purpose == purpose.value))


def use_code(
    connection: Connection,
    purpose: CodePurpose,
    digest: str,
    now: datetime,
    user_name: str | None = None,
) -> bool:
    """Removes a code within the transaction of what it is for; see `OneTimeCodes.use_code`."""
    used = delete(ONE_TIME_CODES).where(*_valid(purpose, digest, now, user_name))
    return connection.execute(used).rowcount == 1


def _valid(
    purpose: CodePurpose, digest: str, now: datetime, user_name: str | None
) -> tuple[ColumnElement[bool], ...]:
    """The conditions of a code that counts."""
    return (
        _C.code_digest == digest,
        _C.purpose == purpose.value,
        _C.user_name.is_not_distinct_from(user_name),
        or_(_C.expires_at.is_(None), _C.expires_at > now),
    )
