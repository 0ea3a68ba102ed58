"""Who sends a request, and how that is known."""

from dataclasses import dataclass
from enum import StrEnum

from node.domain.access.external_users import is_external
from node.domain.access.permissions import Permission, Role


class IdentityOrigin(StrEnum):
    """How the node knows who sends a request."""

    SESSION = "session"  # a person has logged in
    TOKEN = "token"  # a program has sent its token  # noqa: S105 not a secret
    PROXY = "proxy"  # a proxy with a login of its own has named the person
    LOCAL = "local"  # the site works without logins: everybody at this machine may do everything


@dataclass(frozen=True)
class Identity:
    """Who sends a request, and what they may do; `name` is what records state."""

    name: str
    permissions: frozenset[Permission]
    origin: IdentityOrigin

    @property
    def has_account(self) -> bool:
        """Whether this is a person who has logged in with an account of the node."""
        return self.origin is IdentityOrigin.SESSION and not is_external(self.name)

    def may(self, permission: Permission) -> bool:
        """Whether this identity has the permission."""
        return permission in self.permissions


def local_identity(name: str) -> Identity:
    """Returns the identity of everybody at this machine where the site works without logins."""
    return Identity(name, Role.ADMINISTRATOR.permissions, IdentityOrigin.LOCAL)
