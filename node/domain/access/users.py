"""Users with an account on the node, and their sessions."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from node.domain.access.external_users import is_external
from node.domain.access.permissions import Role
from node.domain.errors import NodeError

_USER_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")


class AccountError(NodeError):
    """A change of users or of one's own account is not possible; the text says why."""


@dataclass(frozen=True)
class User:
    """An account. Without a password, its one-time code sets one first."""

    name: str
    role: Role
    is_disabled: bool
    has_password: bool
    has_second_factor: bool
    created_at: datetime
    last_login_at: datetime | None

    @property
    def is_external(self) -> bool:
        """Whether an identity provider knows the user, who then has no password on the node."""
        return is_external(self.name)

    @classmethod
    def new(cls, name: str, role: Role, now: datetime) -> Self:
        """Returns a user who has not logged in yet."""
        return cls(name, role, False, False, False, now, None)


@dataclass(frozen=True)
class Credentials:
    """What the login of a user is checked against.

    `totp_secret` counts once it is confirmed. Codes up to `totp_last_step` were used.
    """

    user: User
    password_hash: str | None
    totp_secret: str | None
    totp_last_step: int


class SessionStage(StrEnum):
    """How far a login has come."""

    OPEN = "open"  # logged in
    SECOND_FACTOR = "second-factor"  # the password was right; the second factor is missing
    ENROL = "enrol"  # the password was right; the user must first set up a second factor


@dataclass(frozen=True)
class Session:
    """A login of a user in one browser."""

    user: User
    stage: SessionStage
    created_at: datetime
    last_used_at: datetime
    client_address: str


class CodePurpose(StrEnum):
    """What a one-time code is for."""

    SET_UP = "set-up"  # creates the first administrator
    PASSWORD = "password"  # sets a user's password  # noqa: S105 not a secret
    LOGIN = "login"  # opens a session


def user_name_of(text: str) -> str:
    """Returns the user name that a person means: without spaces around it, in lower case.

    Raises:
        AccountError: it is no possible name.
    """
    name = text.strip().lower()
    if not _USER_NAME.fullmatch(name):
        raise AccountError(
            "a user name has up to 63 letters (a-z), digits and . _ @ -; it starts with a letter "
            "or digit"
        )
    return name
