"""The DICOM codes of what the audit trail records (PS3.15 A.5.3; PS3.16 CID 400, 401, 402)."""

from dataclasses import dataclass

from node.domain.audit.records import AuditAction, AuditObjectType, AuditOutcome
from node.domain.coding_schemes import LOCAL_SCHEME

_RFC_3881 = "RFC-3881"


@dataclass(frozen=True)
class Code:
    """A coded value; `meaning` is its standard text."""

    value: str
    meaning: str
    scheme: str = "DCM"


@dataclass(frozen=True)
class EventCodes:
    """How an audit message identifies an event.

    `action_code` is Create, Read, Update, Delete or Execute, by its first letter. The roles are
    those of who acts and of the node; the standard does not demand them of each event.
    """

    event: Code
    action_code: str
    type: Code | None = None
    actor_role: Code | None = None
    node_role: Code | None = None


@dataclass(frozen=True)
class ObjectCodes:
    """How an audit message identifies an object (PS3.15 A.5.1.2).

    `type_code`: 1 for a person, 2 for a system object. `role`: see the table of PS3.15.
    """

    id_type: Code
    type_code: str
    role: str


_ACTIVITY = Code("110100", "Application Activity")
_LOG_USED = Code("110101", "Audit Log Used")
_ACCESSED = Code("110103", "DICOM Instances Accessed")
_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
_STUDY_DELETED = Code("110105", "DICOM Study Deleted")
_EXPORT = Code("110106", "Export")
_IMPORT = Code("110107", "Import")
_PROCEDURE_RECORD = Code("110111", "Procedure Record")
_QUERY = Code("110112", "Query")
_ALERT = Code("110113", "Security Alert")
_AUTHENTICATION = Code("110114", "User Authentication")

_START = Code("110120", "Application Start")
_STOP = Code("110121", "Application Stop")
_LOGIN = Code("110122", "Login")
_LOGOUT = Code("110123", "Logout")
_NODE_AUTHENTICATION = Code("110126", "Node Authentication")
_SOFTWARE_CONFIGURATION = Code("110131", "Software Configuration")
_RESTRICTED_FUNCTION = Code("110132", "Use of Restricted Function")
_RECORDING_STOPPED = Code("110133", "Audit Recording Stopped")
_USER_CHANGED = Code("110137", "User Security Attributes Changed")

_APPLICATION = Code("110150", "Application")
_LAUNCHER = Code("110151", "Application Launcher")
DESTINATION_ROLE = Code("110152", "Destination Role ID")
_SOURCE_ROLE = Code("110153", "Source Role ID")

_USER_IDENTIFIER = Code("11", "User Identifier", _RFC_3881)

# Keys are what the table stores. Where the standard has no event, the nearest one is used.
EVENT_CODES: dict[str, EventCodes] = {
    AuditAction.LOGIN: EventCodes(_AUTHENTICATION, "E", _LOGIN),
    AuditAction.LOGOUT: EventCodes(_AUTHENTICATION, "E", _LOGOUT),
    AuditAction.ACCESS_REFUSED: EventCodes(_ALERT, "E", _RESTRICTED_FUNCTION),
    AuditAction.LOCKED_OUT: EventCodes(_ALERT, "E", _USER_CHANGED),
    AuditAction.USER_CHANGED: EventCodes(_ALERT, "E", _USER_CHANGED),
    AuditAction.TOKEN_CHANGED: EventCodes(_ALERT, "E", _USER_CHANGED),
    AuditAction.PATIENT_DATA_READ: EventCodes(_ACCESSED, "R"),
    AuditAction.SEARCHED: EventCodes(
        _QUERY, "E", actor_role=_SOURCE_ROLE, node_role=DESTINATION_ROLE
    ),
    AuditAction.EXPORTED: EventCodes(_EXPORT, "R", node_role=_SOURCE_ROLE),
    AuditAction.RECEIVED: EventCodes(
        _TRANSFERRED, "C", actor_role=_SOURCE_ROLE, node_role=DESTINATION_ROLE
    ),
    AuditAction.DELIVERED: EventCodes(_TRANSFERRED, "R", node_role=_SOURCE_ROLE),
    AuditAction.COMMITTED: EventCodes(_TRANSFERRED, "R", node_role=_SOURCE_ROLE),
    AuditAction.DELETED: EventCodes(_STUDY_DELETED, "D"),
    AuditAction.WORK_CHANGED: EventCodes(_PROCEDURE_RECORD, "U"),
    AuditAction.CONFIGURATION_CHANGED: EventCodes(_ALERT, "E", _SOFTWARE_CONFIGURATION),
    AuditAction.CONNECTION_REJECTED: EventCodes(_ALERT, "E", _NODE_AUTHENTICATION),
    AuditAction.STARTED: EventCodes(_ACTIVITY, "E", _START, _LAUNCHER, _APPLICATION),
    AuditAction.STOPPED: EventCodes(_ACTIVITY, "E", _STOP, _LAUNCHER, _APPLICATION),
    AuditAction.BACKED_UP: EventCodes(_EXPORT, "R", node_role=_SOURCE_ROLE),
    AuditAction.RESTORED: EventCodes(_IMPORT, "C", node_role=DESTINATION_ROLE),
    AuditAction.AUDIT_READ: EventCodes(_LOG_USED, "R"),
    AuditAction.AUDIT_REMOVED: EventCodes(_ALERT, "E", _RESTRICTED_FUNCTION),
    AuditAction.AUDIT_LOST: EventCodes(_ALERT, "E", _RECORDING_STOPPED),
}
# For an action of a later release, which another host runs.
UNKNOWN_EVENT = EventCodes(_ALERT, "E")

OUTCOME_INDICATORS: dict[str, str] = {
    AuditOutcome.SUCCESS: "0",
    AuditOutcome.MINOR_FAILURE: "4",
    AuditOutcome.SERIOUS_FAILURE: "8",
    AuditOutcome.MAJOR_FAILURE: "12",
}
UNKNOWN_OUTCOME = OUTCOME_INDICATORS[AuditOutcome.SERIOUS_FAILURE]

_OBJECT_CODES: dict[str, ObjectCodes] = {
    AuditObjectType.STUDY: ObjectCodes(Code("110180", "Study Instance UID"), "2", "3"),
    AuditObjectType.SERIES: ObjectCodes(Code("112002", "Series Instance UID"), "2", "3"),
    AuditObjectType.PATIENT: ObjectCodes(Code("2", "Patient Number", _RFC_3881), "1", "1"),
    AuditObjectType.QUERY: ObjectCodes(Code("10", "Search Criteria", _RFC_3881), "2", "24"),
    AuditObjectType.USER: ObjectCodes(_USER_IDENTIFIER, "1", "11"),
    AuditObjectType.TOKEN: ObjectCodes(_USER_IDENTIFIER, "2", "11"),
    AuditObjectType.AUDIT_TRAIL: ObjectCodes(Code("12", "URI", _RFC_3881), "2", "13"),
}
# The roles of objects that only the node's own scheme identifies.
_OWN_ROLES: dict[str, str] = {
    AuditObjectType.JOB: "20",
    AuditObjectType.DELIVERY: "20",
    AuditObjectType.WORK_ITEM: "20",
    AuditObjectType.DESTINATION: "16",
    AuditObjectType.CONFIGURATION: "13",
    AuditObjectType.CONNECTION: "13",
    AuditObjectType.PROCESS: "26",
    AuditObjectType.BACKUP: "17",
    AuditObjectType.FOLDER: "17",
}
_UNKNOWN_ROLE = "13"


def object_codes(object_type: str) -> ObjectCodes:
    """Returns the codes of an object whose type is `object_type`."""
    own = Code(object_type, object_type, LOCAL_SCHEME)
    return _OBJECT_CODES.get(
        object_type, ObjectCodes(own, "2", _OWN_ROLES.get(object_type, _UNKNOWN_ROLE))
    )
