"""The table of users."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from node.domain.access.external_users import EXTERNAL_PREFIX
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError, CodePurpose, Credentials, User
from node.domain.audit.records import AuditRecord
from node.store.access.one_time_codes import use_code
from node.store.access.tables import RECOVERY_CODES, SESSIONS, USERS
from node.store.audit_trail.trail import append_record
from node.store.migrate import acquire_site_lock
from node.store.repository import Repository

_U = USERS.c
_IS_LOCAL = _U.name.not_like(f"{EXTERNAL_PREFIX}%")
_LAST_ADMINISTRATOR = (
    "the user {name} is the only administrator; make somebody else administrator first, so that "
    "the node keeps one"
)


class Users(Repository):
    """The users and their credentials; a change that concerns a login ends the user's sessions."""

    def add_user(
        self, name: str, role: Role, now: datetime, password_hash: str | None = None
    ) -> User:
        """Adds a user.

        Raises:
            AccountError: there is a user of that name.
        """
        with self._database.writing() as connection:
            return self._add_user(connection, User.new(name, role, now), password_hash)

    def add_first_administrator(
        self, name: str, password_hash: str, code: str, now: datetime
    ) -> User | None:
        """Adds an administrator if there is none yet; uses the code for the set-up (its digest).

        None if there is no such code.

        Raises:
            AccountError: there is an administrator, or a user of that name.
        """
        with self._database.writing() as connection:
            acquire_site_lock(connection, self._database)
            if _has_administrator(connection):
                raise AccountError("there is an administrator already")
            if not use_code(connection, CodePurpose.SET_UP, code, now):
                return None
            added = User.new(name, Role.ADMINISTRATOR, now)
            return self._add_user(connection, added, password_hash)

    def list_users(self) -> list[User]:
        """Returns all users by name."""
        with self._database.reading() as connection:
            return [user_of(row) for row in connection.execute(select(USERS).order_by(_U.name))]

    def get_user(self, name: str) -> User:
        """Returns a user.

        Raises:
            AccountError: there is none of that name.
        """
        credentials = self.credentials_of(name)
        if credentials is None:
            raise AccountError(f"there is no user {name}")
        return credentials.user

    def credentials_of(self, name: str) -> Credentials | None:
        """Returns the credentials of a user; None if there is no user of that name."""
        with self._database.reading() as connection:
            row = connection.execute(select(USERS).where(_U.name == name)).one_or_none()
        if row is None:
            return None
        return Credentials(user_of(row), row.password_hash, row.totp_secret, row.totp_last_step)

    def has_administrator(self) -> bool:
        """Whether an account of the node is an administrator who is not disabled."""
        with self._database.reading() as connection:
            return _has_administrator(connection)

    def change_role(self, name: str, role: Role) -> None:
        """Gives a user another role, and ends the user's sessions.

        Raises:
            AccountError: there is no such user, or no administrator would remain.
        """
        keeps = role is Role.ADMINISTRATOR
        with self._database.writing() as connection:
            self._change_user(connection, name, {"role": role.value}, keeps_administrator=keeps)

    def set_disabled(self, name: str, is_disabled: bool) -> None:
        """Disables or enables a user, and ends the user's sessions.

        Raises:
            AccountError: there is no such user, or no administrator would remain.
        """
        values, keeps = {"is_disabled": is_disabled}, not is_disabled
        with self._database.writing() as connection:
            self._change_user(connection, name, values, keeps_administrator=keeps)

    def set_password(
        self,
        name: str,
        password_hash: str | None,
        keep: Collection[str] = (),
        record: AuditRecord | None = None,
    ) -> None:
        """Sets or removes the password; ends the user's sessions but those to `keep` (digests).

        `record` is that of the change in the audit trail; without it, nothing changes.

        Raises:
            AccountError: there is no such user.
        """
        values = {"password_hash": password_hash}
        with self._database.writing() as connection:
            self._change_user(connection, name, values, keep=keep, record=record)

    def set_password_by_code(
        self,
        name: str,
        password_hash: str,
        code: str,
        now: datetime,
        record: AuditRecord | None = None,
    ) -> bool:
        """Sets the password, uses the code (its digest), and ends the user's sessions.

        False if the user has no such code. `record` becomes part of the transaction.

        Raises:
            AccountError: there is no such user.
        """
        with self._database.writing() as connection:
            if not use_code(connection, CodePurpose.PASSWORD, code, now, name):
                return False
            values = {"password_hash": password_hash}
            self._change_user(connection, name, values, record=record)
        return True

    def record_login(self, name: str, now: datetime) -> None:
        """Records when the user has logged in."""
        with self._database.writing() as connection:
            connection.execute(update(USERS).where(_U.name == name).values(last_login_at=now))

    def set_totp_secret(self, name: str, secret: str) -> None:
        """Stores a secret that the user must still confirm, instead of one not confirmed."""
        change = update(USERS).where(_U.name == name, _U.totp_is_confirmed.is_(False))
        with self._database.writing() as connection:
            connection.execute(change.values(totp_secret=secret, totp_last_step=0))

    def confirm_second_factor(
        self, name: str, secret: str, step: int, codes: Collection[str], record: AuditRecord
    ) -> bool:
        """Makes the secret count, with these digests of recovery codes; adds the record of it.

        False if another secret has been stored since, or one is confirmed.
        """
        own = (_U.name == name, _U.totp_secret == secret, _U.totp_is_confirmed.is_(False))
        values = {"totp_is_confirmed": True, "totp_last_step": step}
        with self._database.writing() as connection:
            if connection.execute(update(USERS).where(*own).values(values)).rowcount == 0:
                return False
            _replace_codes(connection, name, codes)
            append_record(self._database, connection, record)
        return True

    def use_totp_step(self, name: str, step: int) -> bool:
        """Records that the code of a time step was used; False if it or a later one was before."""
        change = update(USERS).where(_U.name == name, _U.totp_last_step < step)
        with self._database.writing() as connection:
            return connection.execute(change.values(totp_last_step=step)).rowcount == 1

    def use_recovery_code(self, name: str, digest: str) -> bool:
        """Removes a recovery code; False if the user has no such code."""
        codes = RECOVERY_CODES.c
        used = delete(RECOVERY_CODES).where(codes.user_name == name, codes.code_digest == digest)
        with self._database.writing() as connection:
            return connection.execute(used).rowcount == 1

    def count_recovery_codes(self, name: str) -> int:
        """Returns the number of recovery codes that the user has left."""
        codes = RECOVERY_CODES.c
        query = select(func.count()).select_from(RECOVERY_CODES).where(codes.user_name == name)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def remove_second_factor(
        self, name: str, keep: Collection[str] = (), record: AuditRecord | None = None
    ) -> None:
        """Removes the second factor and its recovery codes; ends sessions but those to `keep`.

        `record` is that of the change in the audit trail; without it, nothing changes.

        Raises:
            AccountError: there is no such user.
        """
        values = {"totp_secret": None, "totp_is_confirmed": False, "totp_last_step": 0}
        with self._database.writing() as connection:
            self._change_user(connection, name, values, keep=keep, codes=(), record=record)

    def _add_user(self, connection: Connection, user: User, password_hash: str | None) -> User:
        row = new_user_row(user, password_hash)
        insertion = self._database.insert(USERS).values(row).on_conflict_do_nothing()
        added = connection.execute(insertion.returning(USERS.c.name)).one_or_none()
        if added is None:
            raise AccountError(f"there is a user {user.name} already")
        return replace(user, has_password=password_hash is not None)

    def _change_user(
        self,
        connection: Connection,
        name: str,
        values: dict[str, Any],
        *,
        keeps_administrator: bool = True,
        keep: Collection[str] = (),
        codes: Collection[str] | None = None,
        record: AuditRecord | None = None,
    ) -> None:
        acquire_site_lock(connection, self._database)
        if connection.execute(select(_U.name).where(_U.name == name)).one_or_none() is None:
            raise AccountError(f"there is no user {name}")
        others = _has_administrator(connection, _U.name != name)
        if not keeps_administrator and not others and _has_administrator(connection):
            raise AccountError(_LAST_ADMINISTRATOR.format(name=name))
        connection.execute(update(USERS).where(_U.name == name).values(values))
        if codes is not None:
            _replace_codes(connection, name, codes)
        ended = SESSIONS.c.user_name == name, SESSIONS.c.id_digest.not_in(list(keep))
        connection.execute(delete(SESSIONS).where(*ended))
        if record is not None:
            append_record(self._database, connection, record)


def new_user_row(user: User, password_hash: str | None) -> dict[str, Any]:
    """Returns the row of a user who has no second factor yet."""
    return {
        "name": user.name,
        "role": user.role.value,
        "is_disabled": False,
        "password_hash": password_hash,
        "totp_is_confirmed": False,
        "totp_last_step": 0,
        "created_at": user.created_at,
    }


def user_of(row: Row[Any]) -> User:
    """Returns the user of a row that holds the columns of the table."""
    return User(
        name=row.name,
        role=Role(row.role),
        is_disabled=row.is_disabled,
        has_password=row.password_hash is not None,
        has_second_factor=row.totp_is_confirmed,
        created_at=row.created_at,
        last_login_at=row.last_login_at,
    )


def _has_administrator(connection: Connection, *conditions: ColumnElement[bool]) -> bool:
    """Whether an account of the node is an administrator: one that works without a provider."""
    query = select(_U.name).where(
        _U.role == Role.ADMINISTRATOR.value, _U.is_disabled.is_(False), _IS_LOCAL, *conditions
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def _replace_codes(connection: Connection, name: str, digests: Collection[str]) -> None:
    codes = RECOVERY_CODES
    connection.execute(delete(codes).where(codes.c.user_name == name))
    if digests:
        rows = [{"user_name": name, "code_digest": digest} for digest in digests]
        connection.execute(insert(codes), rows)
