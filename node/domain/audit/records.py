"""Records of the audit trail: who did what to which object, and with which outcome.

The model follows the audit messages of PS3.15 A.5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AuditAction(StrEnum):
    """What happened; the values are stored."""

    # People and programs identify themselves.
    LOGIN = "login"
    LOGOUT = "logout"
    ACCESS_REFUSED = "access refused"  # unknown sender, wrong token, missing permission
    LOCKED_OUT = "locked out"
    USER_CHANGED = "user changed"  # users, passwords, second factors, roles
    TOKEN_CHANGED = "token changed"  # noqa: S105 not a secret
    # Patient data.
    PATIENT_DATA_READ = "patient data read"
    SEARCHED = "searched"
    EXPORTED = "exported"
    RECEIVED = "received"
    DELIVERED = "delivered"
    COMMITTED = "committed"
    DELETED = "deleted"
    # The work of the node and its configuration.
    WORK_CHANGED = "work changed"  # started, retried, redirected, discarded, paused, resumed
    CONFIGURATION_CHANGED = "configuration changed"
    CONNECTION_REJECTED = "connection rejected"
    STARTED = "started"
    STOPPED = "stopped"
    BACKED_UP = "backed up"
    RESTORED = "restored"
    # The trail itself.
    AUDIT_READ = "audit trail read"
    AUDIT_REMOVED = "audit records removed"  # by retention; the chain goes on from here
    AUDIT_LOST = "audit records lost"  # they could not be written


class AuditOutcome(StrEnum):
    """How it ended (PS3.15 A.5.2, EventOutcomeIndicator); the values are stored."""

    SUCCESS = "success"
    MINOR_FAILURE = "minor failure"  # such as a wrong password; the sender may try again
    SERIOUS_FAILURE = "serious failure"
    MAJOR_FAILURE = "major failure"  # the action is not available any more


class AuditInterface(StrEnum):
    """By which interface somebody acts; the values are stored."""

    CONSOLE = "console"
    API = "api"
    DICOMWEB = "dicomweb"
    DICOM = "dicom"
    CLI = "cli"
    NODE = "node"  # the node itself: timers, deliveries


class AuditObjectType(StrEnum):
    """What an action is about; the values are stored."""

    STUDY = "study"
    SERIES = "series"
    PATIENT = "patient"
    JOB = "job"
    DELIVERY = "delivery"
    WORK_ITEM = "work item"
    DESTINATION = "destination"
    USER = "user"
    TOKEN = "token"  # noqa: S105 not a secret
    QUERY = "query"
    CONFIGURATION = "configuration"
    CONNECTION = "connection"
    PROCESS = "process"
    FOLDER = "folder"
    BACKUP = "backup"
    AUDIT_TRAIL = "audit trail"


@dataclass(frozen=True)
class AuditActor:
    """Who acts: a user, a token, a peer or the node; `address` is where the request comes from."""

    name: str
    interface: AuditInterface
    address: str = ""


@dataclass(frozen=True)
class AuditObject:
    """What an action is about."""

    type: AuditObjectType
    identifier: str


@dataclass(frozen=True)
class AuditRecord:
    """One entry of the audit trail.

    `detail` states in one line what the other fields do not. `change` is the difference that a
    change makes to the configuration, without secrets.
    """

    happened_at: datetime
    action: AuditAction
    outcome: AuditOutcome
    actor: AuditActor
    objects: Sequence[AuditObject] = ()
    detail: str = ""
    change: str = ""
