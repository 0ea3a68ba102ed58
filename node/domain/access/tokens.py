"""Tokens by which programs identify themselves."""

import re
from dataclasses import dataclass
from datetime import datetime

from node.domain.access.permissions import Permission
from node.domain.access.users import AccountError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class ApiToken:
    """A token of a program, without its secret.

    `last_used_from` is the address of the last use; it is written at most once a minute.
    """

    name: str
    permissions: frozenset[Permission]
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None = None
    last_used_from: str | None = None


def token_name_of(text: str) -> str:
    """Returns a name as tokens have them.

    Raises:
        AccountError: a token cannot have this name.
    """
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise AccountError(
            "the name of a token has 1 to 63 characters: letters from a to z, digits, and . _ - "
            "after the first"
        )
    return name
