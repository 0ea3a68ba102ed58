"""REST routes of retrievals: the node fetches a series from a DICOMweb source."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict

from node.domain.identifiers import Uid
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api")
# A signed 64-bit integer, the range of a database key.
RetrievalNumber = Annotated[int, PathParameter(ge=1, lt=1 << 63)]


class RetrievalRequest(BaseModel):
    """A series to fetch from a source that the configuration names."""

    model_config = ConfigDict(extra="forbid")

    source: str
    study_instance_uid: str
    series_instance_uid: str


@ROUTER.post("/retrieve", status_code=HTTPStatus.ACCEPTED)
def retrieve(
    request: RetrievalRequest, settings: SiteSettings, store: SiteStore, now: Now
) -> dict[str, int]:
    """Requests the retrieval of a series by WADO-RS; returns the number of the retrieval."""
    if request.source not in settings.sources:
        known = ", ".join(settings.sources) or "none"
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"the configuration has no source {request.source!r}; it has: {known}",
        )
    study, series = Uid(request.study_instance_uid), Uid(request.series_instance_uid)
    return {"retrieval": store.request_retrieval(request.source, study, series, now)}


@ROUTER.get("/retrievals/{number}")
def get_retrieval(number: RetrievalNumber, store: SiteStore) -> dict[str, Any]:
    """Returns the state of a retrieval."""
    found = store.get_retrieval(number)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no retrieval {number}")
    return asdict(found)
