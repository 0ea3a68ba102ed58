"""The revisions of the configuration: an append-only table, and the number of the active one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.engine import Connection

from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.errors import NodeError
from node.store.audit_trail.trail import append_record
from node.store.configuration.tables import ACTIVE_CONFIGURATION, CONFIGURATION_REVISIONS
from node.store.history import append_event
from node.store.migrate import acquire_site_lock
from node.store.repository import Repository

# The subject of events of the configuration in the history.
CONFIGURATION = "configuration"
# The only row of the table with the active number.
_ONLY_ROW = 1


@dataclass(frozen=True)
class RevisionDraft:
    """A configuration that is to become active, and who wants it for which reason."""

    text: str
    author: str
    reason: str


@dataclass(frozen=True)
class Revision:
    """One configuration that was active; `parent` is the number of the one before, if any."""

    number: int
    text: str
    author: str
    created_at: datetime
    reason: str
    parent: int | None


class RevisionConflict(NodeError):
    """Another revision became active since the text was read."""

    def __init__(self, active: Revision) -> None:
        super().__init__(
            f"revision {active.number} has become active in between: {active.author} saved it at "
            f"{active.created_at:%Y-%m-%d %H:%M:%S} UTC, for the reason: {active.reason}. "
            f"Look at that change, then make yours to revision {active.number}"
        )
        self.active = active


class Revisions(Repository):
    """The revisions, numbered from 1."""

    def activate_revision(
        self,
        draft: RevisionDraft,
        base: int | None,
        now: datetime,
        *,
        change: str = "",
        interface: AuditInterface = AuditInterface.NODE,
        address: str = "",
    ) -> Revision:
        """Adds the revision and makes it active; `base` is the number of the one it changes.

        `base` is None where there is no revision yet. The audit trail records `change`, the
        difference without secrets, with the interface and the address of the author.

        Raises:
            RevisionConflict: another revision is active.
        """
        revisions, active = CONFIGURATION_REVISIONS, ACTIVE_CONFIGURATION
        with self._database.writing() as connection:
            acquire_site_lock(connection, self._database)
            current = _active(connection)
            if current is not None and current.number != base:
                raise RevisionConflict(current)
            latest = connection.execute(select(func.max(revisions.c.number))).scalar_one()
            number = 1 if latest is None else int(latest) + 1
            parent = None if current is None else current.number
            added = Revision(number, draft.text, draft.author, now, draft.reason, parent)
            row = {
                "number": number,
                "text": draft.text,
                "author": draft.author,
                "created_at": now,
                "reason": draft.reason,
                "parent": parent,
            }
            connection.execute(insert(revisions).values(row))
            connection.execute(
                self._database.insert(active)
                .values(id=_ONLY_ROW, number=number)
                .on_conflict_do_update(index_elements=[active.c.id], set_={"number": number})
            )
            detail = f"revision {number} by {draft.author}: {draft.reason}"
            append_event(connection, now, CONFIGURATION, "configuration.activated", detail)
            actor = AuditActor(draft.author, interface, address)
            append_record(self._database, connection, _activated(added, actor, change))
        return added

    def remove_secrets_of_revisions(
        self, texts: Mapping[int, str], actor: AuditActor, now: datetime
    ) -> None:
        """Replaces texts of revisions, by number, by the same texts without secrets.

        Nothing else changes a revision.
        """
        if not texts:
            return
        table = CONFIGURATION_REVISIONS
        with self._database.writing() as connection:
            for number, text in texts.items():
                connection.execute(update(table).where(table.c.number == number).values(text=text))
            numbers = ", ".join(map(str, sorted(texts)))
            detail = f"revisions {numbers} by {actor.name}"
            append_event(connection, now, CONFIGURATION, "configuration.secrets_removed", detail)
            record = _changed(now, actor, _objects(sorted(texts)), "secrets removed")
            append_record(self._database, connection, record)

    def active_revision_number(self) -> int | None:
        """Returns the number of the active revision; None before the first."""
        with self._database.reading() as connection:
            return connection.execute(select(ACTIVE_CONFIGURATION.c.number)).scalar_one_or_none()

    def active_revision(self) -> Revision | None:
        """Returns the active revision; None before the first."""
        with self._database.reading() as connection:
            return _active(connection)

    def get_revision(self, number: int) -> Revision | None:
        """Returns the revision with that number, if there is one."""
        table = CONFIGURATION_REVISIONS
        with self._database.reading() as connection:
            row = connection.execute(select(table).where(table.c.number == number)).one_or_none()
        return None if row is None else _revision(row)

    def list_revisions(self, limit: int, *, below: int | None = None) -> list[Revision]:
        """Returns the newest revisions first; only those with a number under `below`, if given."""
        table = CONFIGURATION_REVISIONS
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if below is not None:
            query = query.where(table.c.number < below)
        with self._database.reading() as connection:
            return [_revision(row) for row in connection.execute(query)]


def _activated(added: Revision, actor: AuditActor, change: str) -> AuditRecord:
    return _changed(added.created_at, actor, _objects([added.number]), added.reason, change)


def _changed(
    now: datetime, actor: AuditActor, objects: Sequence[AuditObject], detail: str, change: str = ""
) -> AuditRecord:
    action, outcome = AuditAction.CONFIGURATION_CHANGED, AuditOutcome.SUCCESS
    return AuditRecord(now, action, outcome, actor, objects, detail, change)


def _objects(numbers: Iterable[int]) -> list[AuditObject]:
    return [AuditObject(AuditObjectType.CONFIGURATION, f"revision {each}") for each in numbers]


def _active(connection: Connection) -> Revision | None:
    query = select(CONFIGURATION_REVISIONS).join(
        ACTIVE_CONFIGURATION, ACTIVE_CONFIGURATION.c.number == CONFIGURATION_REVISIONS.c.number
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _revision(row)


def _revision(row: Row[Any]) -> Revision:
    return Revision(row.number, row.text, row.author, row.created_at, row.reason, row.parent)
