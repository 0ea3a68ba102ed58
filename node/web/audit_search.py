"""Searches of the audit trail by console and REST API, and the record that somebody reads it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, Field
from starlette.responses import StreamingResponse

from node.audit.export_lines import line_writer
from node.domain.audit.export_format import ExportFormat
from node.domain.audit.records import (
    AuditAction,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.domain.texts.points_in_time import point_in_time
from node.store import Store
from node.store.audit_trail.searching import AuditSearch
from node.web.acting_user import ActingUser
from node.web.search_parameters import SearchText, absent_if_empty

_MEDIA_TYPES = {
    ExportFormat.JSON: "application/jsonl",
    ExportFormat.DICOM: "application/xml-seq",
}


def _time(value: object) -> object:
    """Returns the time of a parameter; an empty field of a form has none."""
    if not isinstance(value, str) or value == "":
        return None if value == "" else value
    return point_in_time(value, datetime.now(UTC))


Time = Annotated[datetime | None, BeforeValidator(_time)]


class AuditParameters(BaseModel):
    """Which records to show; all conditions must hold, and an empty value does not count."""

    since: Time = Field(
        None, description="Only records since then; UTC without an offset, or an age such as 3d."
    )
    until: Time = Field(None, description="Only records before then, as `since`.")
    user: SearchText = Field("", description="Part of the name of who acts.")
    action: Annotated[AuditAction | None, BeforeValidator(absent_if_empty)] = Field(
        None, description="Only this action."
    )
    outcome: Annotated[AuditOutcome | None, BeforeValidator(absent_if_empty)] = Field(
        None, description="Only this outcome."
    )
    object: SearchText = Field("", description="The whole identifier of an object.")
    address: SearchText = Field("", description="Part of the address of who acts.")

    @property
    def search(self) -> AuditSearch:
        """The search with these conditions."""
        return AuditSearch(
            self.since,
            self.until,
            self.action,
            self.outcome,
            self.user,
            self.object,
            self.address,
            datetime.now(UTC),
        )

    def address_of(self, path: str, **more: str) -> str:
        """Returns the address of a page with the same conditions."""
        own = AuditParameters.model_fields
        values = self.model_dump(mode="json", exclude_none=True, include=set(own)) | more
        pairs = [(name, value) for name, value in values.items() if value != ""]
        return f"{path}?{urlencode(pairs)}" if pairs else path


def record_reading(
    store: Store, user: ActingUser, parameters: AuditParameters, detail: str
) -> None:
    """Records that somebody reads the audit trail; call it before anything is shown.

    Raises:
        Transient: the record cannot be written; nothing may be shown then.
    """
    trail = AuditObject(AuditObjectType.AUDIT_TRAIL, "audit trail")
    conditions = parameters.address_of("")[1:]
    query = (AuditObject(AuditObjectType.QUERY, conditions),) if conditions else ()
    store.record_soon(
        AuditRecord(
            datetime.now(UTC),
            AuditAction.AUDIT_READ,
            AuditOutcome.SUCCESS,
            user.audit_actor(),
            (trail, *query),
            detail,
        )
    )


def exported(
    store: Store, parameters: AuditParameters, export_format: ExportFormat
) -> StreamingResponse:
    """Returns a file with the wanted records, the newest first, one on each line."""
    name = f"audit.{'jsonl' if export_format is ExportFormat.JSON else 'xml'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    lines = _lines(store, parameters.search, export_format)
    return StreamingResponse(lines, headers=headers, media_type=_MEDIA_TYPES[export_format])


def _lines(store: Store, search: AuditSearch, export_format: ExportFormat) -> Iterator[bytes]:
    line_of = line_writer(export_format)
    return (line_of(record) + b"\n" for record in store.audit_records(search))
