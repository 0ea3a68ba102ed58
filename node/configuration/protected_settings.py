"""Which changes of the configuration only an administrator may make.

Nobody hides what they do: the audit trail stays, and goes where an administrator says.
Whoever may change [access] gives permissions to everybody. An identity provider sends the codes of
logins to web.public_url. Whoever may name a secret together with a server of their own receives any
variable and any file of the host that the node can read. So does, from the network, who may leave
out encryption or name the authority whose certificates count.
"""

from collections.abc import Iterator
from typing import Any

from node.domain.errors import NodeError
from node.settings import Settings
from node.settings.credentials.secret_source import SecretSource
from node.settings.credentials.tables import secret_sources

# What logins and the addresses in records depend on.
_WEB_SETTINGS = ("public_url", "trusted_proxies")
# The settings that say to which machine a secret goes, and how the node knows that machine.
_RECEIVER = (
    "url",
    "events_url",
    "oauth_token_url",
    "host",
    "port",
    "server_name",
    "tls",
    "security",
    "ca_file",
)


class AdministratorNeeded(NodeError):
    """Only an administrator may make this change."""

    def __init__(self, settings: tuple[str, ...]) -> None:
        super().__init__(
            f"this needs an administrator: it changes {', '.join(settings)}. Who may use the node, "
            "and which secret goes to which server, are not a matter of the configurator"
        )


def protected_changes(before: Settings | None, after: Settings) -> tuple[str, ...]:
    """Returns the protected settings that differ, in words.

    `before` is None where nobody can tell; everything protected then counts as changed.
    """
    known = set() if before is None else set(_receivers(before).values())
    found = [key for key, receiver in _receivers(after).items() if receiver not in known]
    if before is None or before.access != after.access:
        found.insert(0, "[access]")
    if before is None or before.audit != after.audit:
        found.insert(0, "[audit]")
    if before is None or before.retention.audit_days != after.retention.audit_days:
        found.insert(0, "retention.audit_days")
    for key in _WEB_SETTINGS:
        if before is None or getattr(before.web, key) != getattr(after.web, key):
            found.insert(0, f"web.{key}")
    return tuple(found)


def _receivers(settings: Settings) -> dict[str, tuple[Any, ...]]:
    """Returns each secret with where it goes, by the setting that names it."""
    return {source.key: tuple(_receiver(settings, path, source)) for path, source in _of(settings)}


def _of(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], SecretSource]]:
    # The file of each host names the password of the database, not the configuration.
    return ((path, source) for path, source in secret_sources(settings) if path)


def _receiver(
    settings: Settings, path: tuple[str | int, ...], source: SecretSource
) -> Iterator[Any]:
    yield source.variable
    yield source.file
    table: Any = settings
    for part in path:
        table = table[part] if isinstance(table, dict) else getattr(table, str(part))
    for key in _RECEIVER:
        yield getattr(table, key, None)
