"""What a person or program may do, and the roles that people have."""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Permission(StrEnum):
    """What a person or program may do, from reading to changing the node."""

    VIEW = "view"  # read series, results and health
    SEND = "send"  # send images and start their processing, without reading anything
    OPERATE = "operate"  # start, retry, redirect, discard; pause and resume
    CONFIGURE = "configure"  # change rules, senders and destinations
    ADMINISTER = "administer"  # users and the node itself


class Role(StrEnum):
    """What a user may do; each role may do all that the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    CONFIGURATOR = "configurator"
    ADMINISTRATOR = "administrator"

    @property
    def permissions(self) -> frozenset[Permission]:
        """What a user with this role may do."""
        return _PERMISSIONS[self]


_PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.OPERATOR: frozenset({Permission.VIEW, Permission.SEND, Permission.OPERATE}),
    Role.CONFIGURATOR: frozenset(Permission) - {Permission.ADMINISTER},
    Role.ADMINISTRATOR: frozenset(Permission),
}


def highest_role(groups: Iterable[str], roles: Mapping[str, Role]) -> Role | None:
    """Returns the highest role of somebody in these groups; None if no group has one."""
    found = {roles[group] for group in groups if group in roles}
    return next((role for role in reversed(Role) if role in found), None)
