"""Passwords and tokens, which come from the environment alone."""

import os

from node.domain.errors import Misconfigured


def password_from(variable: str | None, key: str) -> str:
    """Returns the password or token from an environment variable; empty where `variable` is None.

    `key` is the setting that names the variable.

    Raises:
        Misconfigured: the variable is not set.
    """
    if variable is None:
        return ""
    if variable not in os.environ:
        raise Misconfigured(f"the environment variable {variable} is not set", key=key)
    return os.environ[variable]
