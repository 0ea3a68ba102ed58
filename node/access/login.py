"""Login with name, password and second factor; one-time codes that set a password or log in."""

from dataclasses import dataclass, replace

import structlog

from node.access.authentication import RequestFacts
from node.access.lock_out import LockOut
from node.access.login_records import (
    failed_login_record,
    login_record,
    own_account_record,
    refused_change_record,
)
from node.access.passwords import check_new_password, hash_password, is_password
from node.access.second_factor import SecondFactor, UsedCode
from node.access.secrets import digest_of_code, digest_of_identifier
from node.access.sessions import SessionKeeper
from node.domain.access.permissions import Role
from node.domain.access.users import (
    AccountError,
    CodePurpose,
    Credentials,
    Session,
    SessionStage,
    User,
    user_name_of,
)
from node.settings import AccessOptions
from node.settings.network.loopback import is_loopback
from node.store import Store

_LOG = structlog.get_logger()
_WRONG = "the user name or the password is wrong"
_USE_PROVIDER = (
    "on this node, only administrators log in with a password; use the login of your hospital"
)
_WRONG_CODE = "the user name or the code is wrong, or the code has expired or was used"


@dataclass(frozen=True)
class OpenedSession:
    """A new session; `identifier` goes into the cookie."""

    identifier: str
    stage: SessionStage

    @property
    def digest(self) -> str:
        """What the database holds of the identifier."""
        return digest_of_identifier(self.identifier)


@dataclass(frozen=True)
class Login:
    """Opens sessions for people who prove who they are."""

    store: Store
    options: AccessOptions

    @property
    def sessions(self) -> SessionKeeper:
        """The sessions that it opens."""
        return SessionKeeper(self.store, self.options)

    @property
    def second_factor(self) -> SecondFactor:
        """The second factor of users."""
        return SecondFactor(self.store)

    def by_password(self, name: str, password: str, facts: RequestFacts) -> OpenedSession:
        """Opens a session; its stage says whether the second factor is missing.

        Raises:
            AccountError: name or password is wrong, or there were too many attempts.
        """
        self._lock_out.begin(name, facts)
        credentials = self.store.credentials_of(name.strip().lower())
        stored = None if credentials is None else credentials.password_hash
        is_right = is_password(password, stored)
        if credentials is None or not is_right or credentials.user.is_disabled:
            known = "" if credentials is None else credentials.user.name
            self.failed(known, facts, "the name or the password is wrong, or the user is disabled")
            raise AccountError(_WRONG)
        self._require_local_login(credentials.user)
        if credentials.user.has_second_factor:
            return self.open(credentials.user, SessionStage.SECOND_FACTOR, facts)
        self._lock_out.succeeded(name, facts)
        stage = SessionStage.ENROL if self.options.totp == "required" else SessionStage.OPEN
        return self.open(credentials.user, stage, facts)

    def by_second_factor(self, session: Session, code: str, facts: RequestFacts) -> OpenedSession:
        """Opens the session of a user whose password was right.

        Raises:
            AccountError: the code is wrong, or there were too many attempts.
        """
        name = session.user.name
        self._lock_out.begin(name, facts)
        used = self.second_factor.use(name, code, facts.now)
        if used is None:
            self.failed(name, facts, "the code of the second factor is wrong")
            raise AccountError("the code is wrong, too old or was used already")
        self._lock_out.succeeded(name, facts)
        detail = ""
        if used is UsedCode.RECOVERY:
            detail = f"with a recovery code; {self.store.count_recovery_codes(name)} are left"
        return self.open(session.user, SessionStage.OPEN, facts, detail)

    def by_enrolment(
        self, session: Session, code: str, facts: RequestFacts
    ) -> tuple[OpenedSession, list[str]]:
        """Opens the session of a user who has just set up a second factor.

        Returns the recovery codes, too.

        Raises:
            AccountError: the code is wrong, or there were too many attempts.
        """
        name = session.user.name
        self._lock_out.begin(name, facts)
        codes = self.second_factor.confirm(name, code, facts)
        self._lock_out.succeeded(name, facts)
        return self.open(session.user, SessionStage.OPEN, facts), codes

    def by_link(self, code: str, facts: RequestFacts) -> OpenedSession:
        """Opens a session of the user in a login link, which works once, and on this machine only.

        Raises:
            AccountError: the link does not count, or not any more.
        """
        if not is_loopback(facts.client_address):
            raise AccountError("this link works only in a browser on the machine of the node")
        name, _, secret = code.partition(":")
        self._lock_out.begin(name, facts)
        digest = digest_of_code(secret)
        if not self.store.use_code(CodePurpose.LOGIN, digest, facts.now, user_name=name):
            raise AccountError("this link has expired or was used already; log in with a password")
        self._lock_out.succeeded(name, facts)
        return self.open(self.store.get_user(name), SessionStage.OPEN, facts)

    def set_password(self, name: str, code: str, password: str, facts: RequestFacts) -> None:
        """Sets the password of a user who has a one-time code.

        Raises:
            AccountError: the code or the new password does not count.
        """
        self._lock_out.begin(name, facts)
        name = user_name_of(name)
        check_new_password(password, name)
        digest, new_hash = digest_of_code(code), hash_password(password)
        record = own_account_record(name, facts, "sets the password by one-time code")
        if not self.store.set_password_by_code(name, new_hash, digest, facts.now, record):
            raise AccountError(_WRONG_CODE)
        self._lock_out.succeeded(name, facts)

    def change_password(
        self, own: Credentials, current: str, new: str, facts: RequestFacts
    ) -> OpenedSession:
        """Changes the password of a user; every session ends but a new one, which it opens.

        Raises:
            AccountError: the current password is wrong, or the new one is easy to guess.
        """
        name = own.user.name
        check_new_password(new, name)
        self._require_password(own, current, facts, "password not changed")
        record = own_account_record(name, facts, "changes the password")
        opened = self._opened_beside(own.user, facts)
        # Last, so that a database that fails before has changed nothing.
        self.store.set_password(name, hash_password(new), keep=[opened.digest], record=record)
        return opened

    def set_up_second_factor(
        self, own: Credentials, current: str, code: str, facts: RequestFacts
    ) -> list[str]:
        """Makes a new second factor count; returns its recovery codes.

        Raises:
            AccountError: the password or the code is wrong.
        """
        self._require_password(own, current, facts, "second factor not set up")
        return self.second_factor.confirm(own.user.name, code, facts)

    def remove_second_factor(
        self, own: Credentials, current: str, facts: RequestFacts
    ) -> OpenedSession:
        """Removes the second factor; every session ends but a new one, which it opens.

        Raises:
            AccountError: the password is wrong, or the site requires a second factor.
        """
        if self.options.totp == "required":
            raise AccountError("this node requires a second factor; an administrator can reset it")
        self._require_password(own, current, facts, "second factor not removed")
        record = own_account_record(own.user.name, facts, "removes the second factor")
        opened = self._opened_beside(own.user, facts)
        self.store.remove_second_factor(own.user.name, keep=[opened.digest], record=record)
        return opened

    def _opened_beside(self, user: User, facts: RequestFacts) -> OpenedSession:
        """Opens a session beside that of the request, which a change of the account then ends."""
        return self.open(user, SessionStage.OPEN, replace(facts, cookies={}))

    def _require_local_login(self, user: User) -> None:
        is_limited = self.options.local_accounts == "administrators"
        if is_limited and user.role is not Role.ADMINISTRATOR:
            raise AccountError(_USE_PROVIDER)

    def _require_password(
        self, own: Credentials, password: str, facts: RequestFacts, refused: str
    ) -> None:
        self._lock_out.begin(own.user.name, facts)
        if not is_password(password, own.password_hash):
            reason = f"{refused}: the current password is wrong"
            self.store.record(refused_change_record(own.user.name, facts, reason))
            raise AccountError("the current password is wrong")
        self._lock_out.succeeded(own.user.name, facts)

    @property
    def _lock_out(self) -> LockOut:
        return LockOut(self.store)

    def open(
        self, user: User, stage: SessionStage, facts: RequestFacts, detail: str = ""
    ) -> OpenedSession:
        """Opens a session of a user who has proved who they are; `detail` is for its record.

        Raises:
            Transient: session or record of it cannot be written.
        """
        if stage is SessionStage.OPEN:
            self.sessions.remove_expired(facts.now)
            self.store.record(login_record(user.name, facts, detail))
            _LOG.info("login.done", user=user.name, address=facts.client_address)
        return OpenedSession(self.sessions.open(user.name, stage, facts), stage)

    def failed(self, name: str, facts: RequestFacts, reason: str) -> None:
        """Records and logs a failed login; `name` is empty unless it is that of a user."""
        _LOG.warning("login.failed", address=facts.client_address)
        self.store.record(failed_login_record(name, facts, reason))
