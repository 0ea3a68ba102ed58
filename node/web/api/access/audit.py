"""REST routes of the audit trail, for administrators."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from node.domain.audit.export_format import ExportFormat
from node.store.audit_trail.chain import ChainedRecord
from node.store.audit_trail.searching import AuditCursor
from node.web.acting_user import CurrentUser
from node.web.audit_search import AuditParameters, exported, record_reading
from node.web.dependencies import SiteStore
from node.web.search_parameters import SearchText

ROUTER = APIRouter(prefix="/api/audit")


class ListParameters(AuditParameters):
    """The conditions, and which page of the records."""

    limit: Annotated[int, Field(ge=1, le=500, description="Maximum number of records.")] = 50
    older: SearchText = Field("", description="Where the page begins: `older` of the page before.")


class ExportParameters(AuditParameters):
    """The conditions, and the format of the file."""

    format: ExportFormat = Field(
        ExportFormat.JSON, description="json, or dicom for audit messages of PS3.15 A.5."
    )


class RecordedObject(BaseModel):
    """What an action is about."""

    type: str
    identifier: str


class RecordEntry(BaseModel):
    """A record of the audit trail with its place in its chain; `change` is a difference."""

    chain: str
    sequence: int
    happened_at: datetime
    action: str
    outcome: str
    actor: str
    interface: str
    address: str
    objects: list[RecordedObject]
    detail: str
    change: str
    previous_hash: str
    hash: str

    @classmethod
    def of(cls, record: ChainedRecord) -> Self:
        """Describes the record."""
        objects = [RecordedObject(type=each, identifier=one) for each, one in record.objects]
        return cls(**(asdict(record) | {"objects": objects}))


class RecordPage(BaseModel):
    """Records, the newest first; `older` is where the next page begins, None on the last one."""

    records: list[RecordEntry]
    older: str | None


@ROUTER.get("")
def list_records(
    parameters: Annotated[ListParameters, Query()], store: SiteStore, user: CurrentUser
) -> RecordPage:
    """Searches the audit trail. That somebody reads it is recorded, too."""
    cursor = AuditCursor.parse(parameters.older) if parameters.older else None
    record_reading(store, user, parameters, "listed")
    records = store.audit_page(parameters.search, parameters.limit + 1, cursor)
    page = records[: parameters.limit]
    older = str(AuditCursor.of(page[-1])) if len(records) > parameters.limit else None
    return RecordPage(records=[RecordEntry.of(each) for each in page], older=older)


@ROUTER.get("/export", response_class=StreamingResponse)
def export_records(
    parameters: Annotated[ExportParameters, Query()], store: SiteStore, user: CurrentUser
) -> StreamingResponse:
    """Returns the wanted records as a file, the newest first, one on each line."""
    record_reading(store, user, parameters, f"exported as {parameters.format}")
    return exported(store, parameters, parameters.format)
