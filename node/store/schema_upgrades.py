"""Which version of segnode upgraded the schema, and which earlier schemas can work beside it.

This table tells an earlier version whether it may use a database that a newer one has upgraded.
It belongs to the migrations as their own table of revisions does, so that no migration adds it.
"""

from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from sqlalchemy import Column, Integer, String, Table, insert, inspect, select
from sqlalchemy.engine import Connection

from node.domain.errors import Misconfigured
from node.store.database import UtcDateTime
from node.store.schema import METADATA

_REVISION = String(32)

SCHEMA_UPGRADES = Table(
    "schema_upgrades",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("revision", _REVISION, nullable=False),
    Column("oldest_revision", _REVISION, nullable=False),
    Column("segnode_version", _REVISION, nullable=False),
    Column("upgraded_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True)
class SchemaUpgrade:
    """An upgrade of the schema to `revision`.

    Versions of segnode from the schema `oldest_revision` on can work beside it.
    """

    revision: str
    oldest_revision: str
    segnode_version: str


def record_upgrade(connection: Connection, upgrade: SchemaUpgrade, now: datetime) -> None:
    """Records an upgrade; the first one also creates the table."""
    SCHEMA_UPGRADES.create(connection, checkfirst=True)
    row = {
        "revision": upgrade.revision,
        "oldest_revision": upgrade.oldest_revision,
        "segnode_version": upgrade.segnode_version,
        "upgraded_at": now,
    }
    connection.execute(insert(SCHEMA_UPGRADES).values(row))


def refuse_if_too_new(connection: Connection, current: str, own: str) -> None:
    """Checks that a version with the schema `own` may use the newer schema `current`.

    Raises:
        Misconfigured: says which version upgraded the database, and what to do.
    """
    upgrade = _upgrade_to(connection, current)
    if upgrade is not None and upgrade.oldest_revision <= own:
        return
    author = "a newer segnode" if upgrade is None else f"segnode {upgrade.segnode_version}"
    raise Misconfigured(
        f"the database was upgraded by {author} to schema {current}; this is segnode "
        f"{version('segnode')} with schema {own}, which cannot work with it. Nothing was changed. "
        f"Install {author} again, or restore a backup from before the upgrade with the version "
        "that made it (deploy/backup-and-upgrade.md)",
        key="database_url",
    )


def _upgrade_to(connection: Connection, revision: str) -> SchemaUpgrade | None:
    """Returns the recorded upgrade to that revision; None if there is none."""
    if not inspect(connection).has_table(SCHEMA_UPGRADES.name):
        return None
    query = select(SCHEMA_UPGRADES).where(SCHEMA_UPGRADES.c.revision == revision)
    row = connection.execute(query.order_by(SCHEMA_UPGRADES.c.number.desc()).limit(1)).first()
    if row is None:
        return None
    return SchemaUpgrade(row.revision, row.oldest_revision, row.segnode_version)
