"""The page of the audit trail, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from node.audit.record_texts import actor_text
from node.domain.audit.records import AuditAction, AuditObjectType, AuditOutcome
from node.store.audit_trail.searching import AuditCursor
from node.web.acting_user import CurrentUser
from node.web.audit_search import AuditParameters, record_reading
from node.web.console.access.answers import access_page
from node.web.dependencies import SiteStore
from node.web.search_parameters import SearchText

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/audit"
_EXPORT_PATH = "/api/audit/export"
_PAGE = 50
# The console has a page about these.
_LINKS = {AuditObjectType.SERIES: "/series/", AuditObjectType.JOB: "/jobs/"}


class PageParameters(AuditParameters):
    """The conditions, and where the page begins."""

    older: SearchText = Field("")


@ROUTER.get(_PATH)
def audit_page(
    request: Request,
    parameters: Annotated[PageParameters, Query()],
    store: SiteStore,
    user: CurrentUser,
) -> Response:
    """Shows the wanted records, the newest first, and the head of each chain."""
    cursor = AuditCursor.parse(parameters.older) if parameters.older else None
    record_reading(store, user, parameters, "listed")
    found = store.audit_page(parameters.search, _PAGE + 1, cursor)
    records = found[:_PAGE]
    older = {"older": str(AuditCursor.of(records[-1]))} if len(found) > _PAGE else None
    return access_page(
        request,
        "audit.html",
        records=records,
        chosen=parameters,
        is_search=parameters.address_of("") != "",
        actions=sorted(AuditAction),
        outcomes=tuple(AuditOutcome),
        links=_LINKS,
        actor_text=actor_text,
        searched=AuditAction.SEARCHED,
        heads=store.audit_chain_heads(),
        older_address="" if older is None else parameters.address_of(_PATH, **older),
        newest_address=parameters.address_of(_PATH) if parameters.older else "",
        exports={
            name: parameters.address_of(_EXPORT_PATH, format=name) for name in ("json", "dicom")
        },
    )
