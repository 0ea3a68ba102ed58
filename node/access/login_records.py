"""Records of the audit trail about logins and about people's own accounts."""

from datetime import datetime

from node.access.authentication import RequestFacts
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)


def login_record(name: str, facts: RequestFacts, detail: str = "") -> AuditRecord:
    """The record of a new session; `name` is the user."""
    return _record(AuditAction.LOGIN, AuditOutcome.SUCCESS, name, facts, detail)


def failed_login_record(name: str, facts: RequestFacts, reason: str) -> AuditRecord:
    """The record of a failed login.

    `name` is empty unless it is that of a user: people sometimes type their password there.
    """
    return _record(AuditAction.LOGIN, AuditOutcome.MINOR_FAILURE, name, facts, reason)


def locked_out_record(name: str, facts: RequestFacts, until: datetime) -> AuditRecord:
    """The record of an attempt before its account or address may try again; see the failed one."""
    detail = f"too many attempts have failed; the next may be made at {until:%H:%M:%S} UTC"
    outcome = AuditOutcome.MINOR_FAILURE
    return _record(AuditAction.LOCKED_OUT, outcome, name, facts, detail)


def own_account_record(name: str, facts: RequestFacts, change: str) -> AuditRecord:
    """The record of a change that people make to their own account."""
    return _record(AuditAction.USER_CHANGED, AuditOutcome.SUCCESS, name, facts, change)


def refused_change_record(name: str, facts: RequestFacts, reason: str) -> AuditRecord:
    """The record of a change of the own account that needs a password or code, which is wrong."""
    return _record(AuditAction.USER_CHANGED, AuditOutcome.MINOR_FAILURE, name, facts, reason)


def _record(
    action: AuditAction, outcome: AuditOutcome, name: str, facts: RequestFacts, detail: str
) -> AuditRecord:
    actor = AuditActor(name, AuditInterface.CONSOLE, facts.client_address)
    objects = (AuditObject(AuditObjectType.USER, name),) if name else ()
    return AuditRecord(facts.now, action, outcome, actor, objects, detail)
