"""Records requests in the audit trail, once where somebody reads the same again."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from re import Pattern
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.routing import compile_path

from node.audit.losses import AuditLosses
from node.audit.recording import record_if_possible
from node.domain.access.identities import Identity
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.web.audit.audited_routes import AUDITED_ROUTES, AuditedAs, Repetition
from node.web.permissions import Route

# A page that refreshes itself, or a viewer that reads frames, is one access of a person who looks
# at the study. Who still looks at it later has another record.
REPEATED_AFTER = timedelta(minutes=15)
# Beyond so many different accesses in that time, a repetition may have a record of its own.
_MAX_REMEMBERED = 10_000
# Longer queries are no searches of people.
_MAX_QUERY = 2000
# PostgreSQL's limit is far higher; a browser sends no longer address than this by itself.
_MAX_IDENTIFIER = 500
_Access = tuple[str, str, AuditAction, tuple[AuditObject, ...]]


@dataclass
class RecentAccesses:
    """The accesses of the last minutes; any number of threads may ask."""

    _recorded: OrderedDict[_Access, datetime] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_new(self, access: _Access, now: datetime) -> bool:
        """Whether nobody has asked for this access within REPEATED_AFTER; remembers it."""
        with self._lock:
            last = self._recorded.get(access)
            if last is not None and now - last < REPEATED_AFTER:
                return False
            self._recorded[access] = now
            self._recorded.move_to_end(access)
            if len(self._recorded) > _MAX_REMEMBERED:
                self._recorded.popitem(last=False)
            return True

    def forget(self, access: _Access) -> None:
        """Forgets an access whose record could not be written."""
        with self._lock:
            self._recorded.pop(access, None)


@dataclass(frozen=True)
class RequestRecorder:
    """Records what requests do. `record` appends to the audit trail; `losses` counts failures."""

    record: Callable[[AuditRecord], None]
    losses: AuditLosses
    recent: RecentAccesses = field(default_factory=RecentAccesses)

    def record_of(
        self, request: Request, route: Route | None, sender: Identity, status: int, now: datetime
    ) -> AuditRecord | None:
        """Returns the record of an answered request; None if it leaves none."""
        audited = None if route is None else AUDITED_ROUTES.get(route)
        if route is None or audited is None:
            return None
        has_failed = status >= HTTPStatus.BAD_REQUEST
        is_read = route[0] == "GET"
        if has_failed and is_read:
            return None  # it has shown nothing
        record = AuditRecord(
            now,
            audited.action,
            _outcome(status),
            AuditActor(sender.name, audit_interface(request), audit_address(request)),
            _objects(request, route, audited),
            "" if is_read else f"{route[0]} {route[1]}",
        )
        if audited.repetition is Repetition.FIRST and not self.recent.is_new(_access(record), now):
            return None
        return record

    def refused(
        self, request: Request, name: str, detail: str, now: datetime
    ) -> AuditRecord | None:
        """Returns the record of a request without the permission or with an invalid token.

        The same sender has one within REPEATED_AFTER: a program repeats what is refused.
        """
        actor = AuditActor(name, audit_interface(request), audit_address(request))
        action, outcome = AuditAction.ACCESS_REFUSED, AuditOutcome.MINOR_FAILURE
        record = AuditRecord(now, action, outcome, actor, (), detail)
        return record if self.recent.is_new(_access(record), now) else None

    def write(self, record: AuditRecord) -> None:
        """Writes the record; without a database, people can still read results."""
        if not record_if_possible(self.record, record, self.losses):
            self.recent.forget(_access(record))


def _access(record: AuditRecord) -> _Access:
    return record.actor.name, record.actor.address, record.action, tuple(record.objects)


def _outcome(status: int) -> AuditOutcome:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return AuditOutcome.SERIOUS_FAILURE
    if status >= HTTPStatus.BAD_REQUEST:
        return AuditOutcome.MINOR_FAILURE
    return AuditOutcome.SUCCESS


def audit_interface(request: Request) -> AuditInterface:
    """Returns the interface that a request uses."""
    path = request.scope["path"]
    if path.startswith("/api/"):
        return AuditInterface.API
    return AuditInterface.DICOMWEB if path.startswith("/dicom-web") else AuditInterface.CONSOLE


def audit_address(request: Request) -> str:
    """Returns the address of the client; empty where it is not known."""
    return request.client.host if request.client else ""


def _objects(request: Request, route: Route, audited: AuditedAs) -> tuple[AuditObject, ...]:
    match = _pattern(route[1]).match(request.scope["path"])
    values = {} if match is None else match.groupdict()
    objects = tuple(
        AuditObject(kind, values[name][:_MAX_IDENTIFIER])
        for name, kind in audited.objects.items()
        if name in values
    )
    query = unquote_plus(request.scope["query_string"].decode("latin-1"))[:_MAX_QUERY]
    if not audited.with_query or not query:
        return objects
    return (*objects, AuditObject(AuditObjectType.QUERY, query))


@lru_cache(maxsize=len(AUDITED_ROUTES))
def _pattern(path: str) -> Pattern[str]:
    return compile_path(path)[0]
