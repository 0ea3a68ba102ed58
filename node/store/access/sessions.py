"""The table of sessions. It holds digests of their identifiers, never these themselves."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, or_, select, update

from node.domain.access.users import Session, SessionStage
from node.store.access.tables import SESSIONS, USERS
from node.store.access.users import user_of
from node.store.repository import Repository

_S = SESSIONS.c
_OWN = (_S.stage, _S.created_at.label("started_at"), _S.last_used_at, _S.client_address)


@dataclass(frozen=True)
class NewSession:
    """A session to add; `id_digest` is the digest of its identifier."""

    id_digest: str
    user_name: str
    stage: SessionStage
    client_address: str


class Sessions(Repository):
    """The sessions of all users, which every web process of the site reads."""

    def add_session(self, session: NewSession, now: datetime, *, instead_of: str = "") -> None:
        """Adds a session and removes the one with the digest `instead_of`."""
        row = {
            "id_digest": session.id_digest,
            "user_name": session.user_name,
            "stage": session.stage.value,
            "created_at": now,
            "last_used_at": now,
            "client_address": session.client_address,
        }
        with self._database.writing() as connection:
            connection.execute(delete(SESSIONS).where(_S.id_digest == instead_of))
            connection.execute(insert(SESSIONS).values(row))

    def get_session(self, id_digest: str) -> Session | None:
        """Returns a session whose user is not disabled; None if there is none."""
        query = (
            select(
                USERS,
                _S.stage,
                _S.created_at.label("started_at"),
                _S.last_used_at,
                _S.client_address,
            )
            .join(USERS, USERS.c.name == _S.user_name)
            .where(_S.id_digest == id_digest, USERS.c.is_disabled.is_(False))
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Session(
            user=user_of(row),
            stage=SessionStage(row.stage),
            created_at=row.started_at,
            last_used_at=row.last_used_at,
            client_address=row.client_address,
        )

    def record_session_use(self, id_digest: str, now: datetime) -> None:
        """Records that a person has used the session now."""
        with self._database.writing() as connection:
            connection.execute(
                update(SESSIONS).where(_S.id_digest == id_digest).values(last_used_at=now)
            )

    def remove_session(self, id_digest: str) -> None:
        """Ends a session; does nothing if it is not there."""
        with self._database.writing() as connection:
            connection.execute(delete(SESSIONS).where(_S.id_digest == id_digest))

    def remove_sessions_of(self, user_name: str) -> int:
        """Ends every session of a user; returns how many there were."""
        with self._database.writing() as connection:
            ended = connection.execute(delete(SESSIONS).where(_S.user_name == user_name))
        return ended.rowcount

    def remove_expired_sessions(self, created_before: datetime, used_before: datetime) -> None:
        """Removes sessions that are older, or were last used before then."""
        expired = or_(_S.created_at < created_before, _S.last_used_at < used_before)
        with self._database.writing() as connection:
            connection.execute(delete(SESSIONS).where(expired))

    def session_counts(self, used_since: datetime) -> dict[str, int]:
        """Returns how many sessions of each user were used since then."""
        query = select(_S.user_name).where(_S.last_used_at >= used_since)
        with self._database.reading() as connection:
            names = [row.user_name for row in connection.execute(query)]
        return {name: names.count(name) for name in set(names)}
