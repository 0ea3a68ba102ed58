"""What each route leaves in the audit trail, and the routes that leave nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from node.domain.audit.records import AuditAction, AuditObjectType
from node.web.permissions import PUBLIC_ROUTES, Route


class Repetition(Enum):
    """What follows where somebody does the same again."""

    EACH = auto()  # each request has a record
    FIRST = auto()  # the first one has a record; a page reads again, and a viewer frame by frame


@dataclass(frozen=True)
class AuditedAs:
    """The record of a request to a route.

    `objects` gives parameters of the path their type. `with_query` adds the conditions of a search
    (PS3.15 A.5.3.10). A repetition of FIRST applies to the same user, address and objects.
    """

    action: AuditAction
    objects: Mapping[str, AuditObjectType]
    repetition: Repetition = Repetition.EACH
    with_query: bool = False


_SERIES = {"series_uid": AuditObjectType.SERIES}
_JOB = {"job_id": AuditObjectType.JOB}
_STUDY = {"study": AuditObjectType.STUDY}
_SERIES_READ = AuditedAs(AuditAction.PATIENT_DATA_READ, _SERIES, Repetition.FIRST)
_JOB_READ = AuditedAs(AuditAction.PATIENT_DATA_READ, _JOB, Repetition.FIRST)
_STUDY_READ = AuditedAs(AuditAction.PATIENT_DATA_READ, _STUDY, Repetition.FIRST)
_SEARCH = AuditedAs(AuditAction.SEARCHED, {}, Repetition.FIRST, with_query=True)
_SEARCH_IN_STUDY = AuditedAs(AuditAction.SEARCHED, _STUDY, Repetition.FIRST, with_query=True)
_SERIES_CHANGE = AuditedAs(AuditAction.WORK_CHANGED, _SERIES)
_JOB_CHANGE = AuditedAs(AuditAction.WORK_CHANGED, _JOB)
_WORK_CHANGE = AuditedAs(AuditAction.WORK_CHANGED, {})
_QUEUE_CHANGE = AuditedAs(AuditAction.WORK_CHANGED, {"name": AuditObjectType.DESTINATION})
_DELIVERY_CHANGE = AuditedAs(AuditAction.WORK_CHANGED, {})

_STUDY_PATH = "/dicom-web/studies/{study}"
_SERIES_PATH = f"{_STUDY_PATH}/series/{{series}}"
_INSTANCE_PATH = f"{_SERIES_PATH}/instances/{{instance}}"
_FRAME_PATH = f"{_INSTANCE_PATH}/frames/{{number}}"

AUDITED_ROUTES: Mapping[Route, AuditedAs] = {
    # Patient data in the console and by REST.
    ("GET", "/series/{series_uid}"): _SERIES_READ,
    ("GET", "/fragments/series/{series_uid}"): _SERIES_READ,
    ("GET", "/jobs/{job_id}"): _JOB_READ,
    ("GET", "/jobs/{job_id}/result.dcm"): AuditedAs(AuditAction.EXPORTED, _JOB),
    ("GET", "/api/series/{series_uid}"): _SERIES_READ,
    ("GET", "/api/series/{series_uid}/explain"): _SERIES_READ,
    ("GET", "/api/series/{series_uid}/slices"): _SERIES_READ,
    ("GET", "/api/jobs/{job_id}"): _JOB_READ,
    ("GET", "/api/jobs/{job_id}/picture.png"): _JOB_READ,
    ("GET", "/api/worklists/{worklist}/work-items/{uid}"): AuditedAs(
        AuditAction.PATIENT_DATA_READ, {"uid": AuditObjectType.WORK_ITEM}, Repetition.FIRST
    ),
    # Searches and lists.
    ("GET", "/"): _SEARCH,
    ("GET", "/fragments/series"): _SEARCH,
    ("GET", "/api/series"): _SEARCH,
    ("GET", "/api/jobs"): _SEARCH,
    ("GET", "/api/worklists/work-items"): _SEARCH,
    ("GET", "/feedback"): _SEARCH,
    ("GET", "/api/feedback"): _SEARCH,
    ("GET", "/queues"): _SEARCH,
    ("GET", "/fragments/queues"): _SEARCH,
    ("GET", "/queues/redirect"): _SEARCH,
    ("GET", "/queues/discard"): _SEARCH,
    ("GET", "/api/queues/deliveries"): _SEARCH,
    ("GET", "/api/retrievals"): _SEARCH,
    ("GET", "/api/retrievals/{number}"): _SEARCH,
    ("GET", "/dicom-web/studies"): _SEARCH,
    ("GET", "/dicom-web/series"): _SEARCH,
    ("GET", "/dicom-web/instances"): _SEARCH,
    ("GET", f"{_STUDY_PATH}/series"): _SEARCH_IN_STUDY,
    ("GET", f"{_STUDY_PATH}/instances"): _SEARCH_IN_STUDY,
    ("GET", f"{_SERIES_PATH}/instances"): _SEARCH_IN_STUDY,
    # DICOMweb: one record for a study, whatever of it is read.
    **{
        ("GET", path + what): _STUDY_READ
        for path, offered in (
            (_STUDY_PATH, ("", "/metadata", "/rendered", "/thumbnail")),
            (_SERIES_PATH, ("", "/metadata", "/rendered", "/thumbnail")),
            (
                _INSTANCE_PATH,
                (
                    "",
                    "/metadata",
                    "/rendered",
                    "/thumbnail",
                    "/frames/{numbers}",
                    "/bulkdata/{path:path}",
                ),
            ),
            (_FRAME_PATH, ("/rendered", "/thumbnail")),
        )
        for what in offered
    },
    ("POST", "/dicom-web/studies"): AuditedAs(AuditAction.RECEIVED, {}),
    ("POST", _STUDY_PATH): AuditedAs(AuditAction.RECEIVED, _STUDY),
    # The work of the node.
    ("POST", "/series/{series_uid}/start"): _SERIES_CHANGE,
    ("POST", "/api/series/{series_uid}/start"): _SERIES_CHANGE,
    **{
        ("POST", f"{prefix}/jobs/{{job_id}}/{change}"): _JOB_CHANGE
        for prefix in ("", "/api")
        for change in ("retry", "release", "rerun", "discard")
    },
    **{
        ("POST", f"{path}/{change}"): _DELIVERY_CHANGE
        for path in ("/queues", "/api/queues/deliveries")
        for change in ("retry", "redirect", "discard")
    },
    **{
        ("POST", f"{prefix}/queues/{queue}/{change}"): _QUEUE_CHANGE
        for prefix in ("", "/api")
        for queue in ("inference", "destinations/{name:path}")
        for change in ("pause", "resume")
    },
    ("POST", "/api/worklists/{worklist}/work-items/{uid}/cancel"): AuditedAs(
        AuditAction.WORK_CHANGED, {"uid": AuditObjectType.WORK_ITEM}
    ),
    ("POST", "/api/retrieve"): _WORK_CHANGE,
    ("POST", "/api/fetch"): _WORK_CHANGE,
    # People.
    ("POST", "/logout"): AuditedAs(AuditAction.LOGOUT, {}),
}
# What deletes series, or changes users, tokens and the configuration, adds the record, for the
# command line as well.
# The audit trail shows nothing without a record of it.
RECORDED_WITH_THE_CHANGE: frozenset[Route] = frozenset(
    {
        ("GET", "/audit"),
        ("GET", "/api/audit"),
        ("GET", "/api/audit/export"),
        ("POST", "/series/{series_uid}/delete"),
        ("POST", "/api/series/{series_uid}/delete"),
        ("POST", "/tokens"),
        ("POST", "/tokens/{name}/revoke"),
        ("POST", "/api/tokens"),
        ("DELETE", "/api/tokens/{name}"),
        ("POST", "/account/password"),
        ("POST", "/account/second-factor"),
        ("POST", "/account/second-factor/remove"),
        ("POST", "/users"),
        ("POST", "/users/{name}/role"),
        ("POST", "/users/{name}/disable"),
        ("POST", "/users/{name}/enable"),
        ("POST", "/users/{name}/reset"),
        ("POST", "/users/{name}/end-sessions"),
        ("POST", "/configuration"),
        ("POST", "/configuration/revisions/{number}/roll-back"),
        ("POST", "/configuration/rules"),
        ("POST", "/configuration/rules/{number}"),
        ("POST", "/connections/node"),
        ("POST", "/connections/{table}/new"),
        ("POST", "/connections/{table}/edit/{name:path}"),
        ("POST", "/connections/{table}/remove/{name:path}"),
        ("POST", "/api/configuration/revisions"),
        ("POST", "/api/configuration/revisions/{number}/roll-back"),
        ("PUT", "/api/connections/{table}/{name:path}"),
        ("DELETE", "/api/connections/{table}/{name:path}"),
        ("PUT", "/api/listener"),
    }
)
# They check something and change nothing.
_CHECKS: frozenset[Route] = frozenset(
    {
        ("POST", "/configuration/check"),
        ("POST", "/api/configuration/check"),
        ("POST", "/connections/{table}/test/{name:path}"),
        ("POST", "/api/connections/{table}/test/{name:path}"),
        ("POST", "/fragments/configuration/rules/{number}"),
        ("POST", "/api/rules/dry-run"),
    }
)
# They show the node, its configuration, models and users, but no data of one patient.
_ABOUT_THE_NODE: frozenset[Route] = frozenset(
    {
        ("GET", "/api/openapi.json"),
        ("HEAD", "/api/openapi.json"),
        ("GET", "/node"),
        ("GET", "/account"),
        ("GET", "/account/second-factor"),
        ("GET", "/users"),
        ("GET", "/tokens"),
        ("GET", "/api/tokens"),
        ("GET", "/configuration"),
        ("GET", "/configuration/revisions/{number}"),
        ("GET", "/configuration/rules"),
        ("GET", "/configuration/rules/{number}"),
        ("GET", "/api/configuration"),
        ("GET", "/api/configuration/revisions"),
        ("GET", "/api/configuration/revisions/{number}"),
        ("GET", "/api/configuration/revisions/{number}/diff"),
        ("GET", "/connections"),
        ("GET", "/connections/node"),
        ("GET", "/connections/{table}/new"),
        ("GET", "/connections/{table}/edit/{name:path}"),
        ("GET", "/api/connections"),
        ("GET", "/api/connections/rejected"),
        ("GET", "/api/worklists"),
        ("GET", "/overview"),
        ("GET", "/fragments/overview"),
        ("GET", "/events/overview"),
        ("GET", "/models"),
        ("GET", "/api/models"),
        ("GET", "/api/models/agreement"),
        ("GET", "/api/models/{name}"),
        ("GET", "/api/queues"),
        ("GET", "/metrics"),
        ("HEAD", "/metrics"),
        # Files of the viewer. It reads images by DICOMweb.
        ("GET", "/viewer"),
        ("GET", "/viewer/{path:path}"),
    }
)
# Addresses of DICOMweb that have no data.
_WITHOUT_DATA: frozenset[Route] = frozenset(
    {("OPTIONS", "/dicom-web"), ("OPTIONS", "/dicom-web/")}
    | {
        (method, "/dicom-web/{path:path}")
        for method in ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
    }
)
# A sender of a public route is not known yet.
UNAUDITED_ROUTES: frozenset[Route] = PUBLIC_ROUTES | _CHECKS | _ABOUT_THE_NODE | _WITHOUT_DATA
