"""Changes of users by administrators, each with a record in the audit trail."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from node.access.lock_out import LockOut
from node.access.secrets import digest_of_code, new_code
from node.domain.access.permissions import Role
from node.domain.access.users import AccountError, CodePurpose, user_name_of
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.store import Store

PASSWORD_CODE_VALID = timedelta(hours=24)
# The program that prints the link is there to open it at once.
_LOGIN_CODE_VALID = timedelta(minutes=15)


@dataclass(frozen=True)
class Accounts:
    """Adds and changes users on behalf of `by`, who uses this interface from this address.

    Every method raises AccountError if the user or the change is not possible.
    """

    store: Store
    by: str
    interface: AuditInterface = AuditInterface.CLI
    address: str = ""

    def add(self, name: str, role: Role, now: datetime) -> str:
        """Adds a user without password; returns the one-time code with which the user sets one."""
        name = user_name_of(name)
        self.store.add_user(name, role, now)
        self._record(now, name, f"added as {role}")
        return self._password_code(name, now)

    def change_role(self, name: str, role: Role, now: datetime) -> None:
        """Gives the user another role; the user must log in again."""
        self._require_own_account(name, "the groups at the identity provider decide about the role")
        self.store.change_role(name, role)
        self._record(now, name, f"role changed to {role}")

    def disable(self, name: str, now: datetime) -> None:
        """Keeps the user from logging in, and ends the user's sessions."""
        self.store.set_disabled(name, True)
        self._record(now, name, "disabled")

    def enable(self, name: str, now: datetime) -> None:
        """Lets a disabled user log in again."""
        self.store.set_disabled(name, False)
        self._record(now, name, "enabled")

    def reset_password(self, name: str, now: datetime) -> str:
        """Removes the password, and ends the user's sessions; the second factor stays.

        It also ends a waiting time after failed logins. Returns the one-time code with which the
        user sets a new password.
        """
        self._require_own_account(name, "the identity provider has the password")
        self.store.set_password(name, None)
        LockOut(self.store).forgive(name)
        self._record(now, name, "password removed")
        return self._password_code(name, now)

    def remove_second_factor(self, name: str, now: datetime) -> None:
        """Removes the second factor, and ends the user's sessions; the password stays.

        It also ends a waiting time after failed logins.
        """
        self._require_own_account(name, "the identity provider has the second factor")
        if not self.store.get_user(name).has_second_factor:
            raise AccountError(f"the user {name} has no second factor")
        self.store.remove_second_factor(name)
        LockOut(self.store).forgive(name)
        self._record(now, name, "second factor removed")

    def end_sessions(self, name: str, now: datetime) -> None:
        """Ends every session of the user."""
        self.store.get_user(name)
        count = self.store.remove_sessions_of(name)
        self._record(now, name, f"sessions ended: {count}")

    def _require_own_account(self, name: str, reason: str) -> None:
        if self.store.get_user(name).is_external:
            raise AccountError(f"the user {name} has no account of this node: {reason}")

    def _password_code(self, name: str, now: datetime) -> str:
        code = new_code()
        self.store.replace_code(
            CodePurpose.PASSWORD,
            digest_of_code(code),
            user_name=name,
            expires_at=now + PASSWORD_CODE_VALID,
        )
        return code

    def _record(self, now: datetime, name: str, change: str) -> None:
        record = AuditRecord(
            now,
            AuditAction.USER_CHANGED,
            AuditOutcome.SUCCESS,
            AuditActor(self.by, self.interface, self.address),
            (AuditObject(AuditObjectType.USER, name),),
            change,
        )
        self.store.record(record)


def login_link(store: Store, name: str, now: datetime) -> str:
    """Returns the path of a page that logs in the user, once.

    Raises:
        AccountError: there is no such user.
    """
    code = new_code()
    store.replace_code(
        CodePurpose.LOGIN,
        digest_of_code(code),
        user_name=store.get_user(name).name,
        expires_at=now + _LOGIN_CODE_VALID,
    )
    return f"/login/link?code={name}:{code}"
