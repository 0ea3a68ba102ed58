"""The permission that each route needs. Nothing enforces them yet: the console has no login."""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """What a person or program may do, from reading to changing the node."""

    VIEW = "view"  # read series, results and health
    OPERATE = "operate"  # send images, start, retry and discard
    CONFIGURE = "configure"  # change rules, senders and destinations
    ADMINISTER = "administer"  # users and the node itself


_VIEW, _OPERATE = Permission.VIEW, Permission.OPERATE
_CONFIGURE = Permission.CONFIGURE
# By method and path, as the routes declare them. A mounted folder has no method.
ROUTE_PERMISSIONS: Mapping[tuple[str, str], Permission] = {
    ("", "/static"): _VIEW,
    ("GET", "/api/openapi.json"): _VIEW,
    ("HEAD", "/api/openapi.json"): _VIEW,
    ("GET", "/"): _VIEW,
    ("GET", "/fragments/series"): _VIEW,
    ("GET", "/series/{series_uid}"): _VIEW,
    ("GET", "/fragments/series/{series_uid}"): _VIEW,
    ("GET", "/jobs/{job_id}"): _VIEW,
    ("GET", "/jobs/{job_id}/result.dcm"): _VIEW,
    ("GET", "/node"): _VIEW,
    ("GET", "/connections"): _VIEW,
    ("POST", "/connections/{table}/test/{name:path}"): _OPERATE,
    ("GET", "/api/connections"): _VIEW,
    ("GET", "/api/connections/rejected"): _VIEW,
    ("POST", "/api/connections/{table}/test/{name:path}"): _OPERATE,
    ("PUT", "/api/connections/{table}/{name:path}"): _CONFIGURE,
    ("DELETE", "/api/connections/{table}/{name:path}"): _CONFIGURE,
    ("PUT", "/api/listener"): _CONFIGURE,
    ("GET", "/connections/node"): _CONFIGURE,
    ("POST", "/connections/node"): _CONFIGURE,
    ("GET", "/connections/{table}/new"): _CONFIGURE,
    ("POST", "/connections/{table}/new"): _CONFIGURE,
    ("GET", "/connections/{table}/edit/{name:path}"): _CONFIGURE,
    ("POST", "/connections/{table}/edit/{name:path}"): _CONFIGURE,
    ("POST", "/connections/{table}/remove/{name:path}"): _CONFIGURE,
    ("GET", "/api/worklists"): _VIEW,
    ("GET", "/api/worklists/work-items"): _VIEW,
    ("GET", "/api/worklists/{worklist}/work-items/{uid}"): _VIEW,
    ("POST", "/api/worklists/{worklist}/work-items/{uid}/cancel"): _OPERATE,
    ("POST", "/series/{series_uid}/start"): _OPERATE,
    ("POST", "/jobs/{job_id}/retry"): _OPERATE,
    ("POST", "/jobs/{job_id}/rerun"): _OPERATE,
    ("POST", "/jobs/{job_id}/discard"): _OPERATE,
    ("GET", "/overview"): _VIEW,
    ("GET", "/fragments/overview"): _VIEW,
    ("GET", "/events/overview"): _VIEW,
    ("GET", "/api/series"): _VIEW,
    ("GET", "/api/series/{series_uid}/explain"): _VIEW,
    ("POST", "/api/series/{series_uid}/start"): _OPERATE,
    ("GET", "/api/jobs"): _VIEW,
    ("GET", "/api/jobs/{job_id}"): _VIEW,
    ("GET", "/api/jobs/{job_id}/picture.png"): _VIEW,
    ("POST", "/api/jobs/{job_id}/retry"): _OPERATE,
    ("POST", "/api/jobs/{job_id}/rerun"): _OPERATE,
    ("POST", "/api/jobs/{job_id}/discard"): _OPERATE,
    ("POST", "/api/retrieve"): _OPERATE,
    ("POST", "/api/fetch"): _OPERATE,
    ("GET", "/api/retrievals"): _VIEW,
    ("GET", "/api/retrievals/{number}"): _VIEW,
    ("HEAD", "/health"): _VIEW,
    ("GET", "/health"): _VIEW,
    ("HEAD", "/health/live"): _VIEW,
    ("GET", "/health/live"): _VIEW,
    ("HEAD", "/health/ready"): _VIEW,
    ("GET", "/health/ready"): _VIEW,
    ("HEAD", "/metrics"): _VIEW,
    ("GET", "/metrics"): _VIEW,
    ("GET", "/dicom-web/studies"): _VIEW,
    ("GET", "/dicom-web/series"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series"): _VIEW,
    ("GET", "/dicom-web/instances"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/instances"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances"): _VIEW,
    ("GET", "/dicom-web/studies/{study}"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances/{instance}"): _VIEW,
    (
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{numbers}",
    ): _VIEW,
    ("GET", "/dicom-web/studies/{study}/metadata"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/metadata"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata"): _VIEW,
    (
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path:path}",
    ): _VIEW,
    ("GET", "/dicom-web/studies/{study}/rendered"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/rendered"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances/{instance}/rendered"): _VIEW,
    (
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{number}/rendered",
    ): _VIEW,
    ("GET", "/dicom-web/studies/{study}/thumbnail"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/thumbnail"): _VIEW,
    ("GET", "/dicom-web/studies/{study}/series/{series}/instances/{instance}/thumbnail"): _VIEW,
    (
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{number}/thumbnail",
    ): _VIEW,
    ("POST", "/dicom-web/studies"): _OPERATE,
    ("POST", "/dicom-web/studies/{study}"): _OPERATE,
    ("OPTIONS", "/dicom-web/"): _VIEW,
    ("OPTIONS", "/dicom-web"): _VIEW,
    ("DELETE", "/dicom-web/{path:path}"): _VIEW,
    ("GET", "/dicom-web/{path:path}"): _VIEW,
    ("HEAD", "/dicom-web/{path:path}"): _VIEW,
    ("OPTIONS", "/dicom-web/{path:path}"): _VIEW,
    ("PATCH", "/dicom-web/{path:path}"): _VIEW,
    ("POST", "/dicom-web/{path:path}"): _VIEW,
    ("PUT", "/dicom-web/{path:path}"): _VIEW,
}
