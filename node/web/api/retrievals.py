"""REST routes of retrievals: the node fetches series from a peer or a DICOMweb source."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field

from node.dicom.query import FoundSeries, SeriesQuery
from node.domain.identifiers import Uid
from node.retrieval.sources import retrieval_source_names, searchable_source, unknown_source
from node.settings import Settings
from node.web.api.serialization import Limit
from node.web.dependencies import Now, SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api")
# A signed 64-bit integer, the range of a database key.
RetrievalNumber = Annotated[int, PathParameter(ge=1, lt=1 << 63)]


class RetrievalRequest(BaseModel):
    """A series to fetch from a peer or source that the configuration names."""

    model_config = ConfigDict(extra="forbid")

    source: str
    study_instance_uid: str
    series_instance_uid: str


class FetchRequest(BaseModel):
    """The series to find at a peer or source, and to fetch; with `dry_run`, to find only."""

    model_config = ConfigDict(extra="forbid")

    source: str
    patient_id: str = ""
    accession_number: str = ""
    study_date: str = ""
    modality: str = "CT"
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    dry_run: bool = False


@ROUTER.post("/retrieve", status_code=HTTPStatus.ACCEPTED)
def retrieve(
    request: RetrievalRequest, settings: SiteSettings, store: SiteStore, now: Now
) -> dict[str, int]:
    """Requests the retrieval of a series; returns the number of the retrieval."""
    _require_source(settings, request.source)
    study, series = Uid(request.study_instance_uid), Uid(request.series_instance_uid)
    return {"retrieval": store.request_retrieval(request.source, study, series, now)}


@ROUTER.post("/fetch", status_code=HTTPStatus.ACCEPTED)
def fetch(
    request: FetchRequest, settings: SiteSettings, store: SiteStore, now: Now
) -> dict[str, Any]:
    """Finds series and requests their retrieval; returns them with the numbers of the retrievals.

    A source that does not answer or refuses the query ends the request with 503 and the reason.
    """
    _require_source(settings, request.source)
    listed = []
    for one in _find(settings, request):
        number = None
        if not request.dry_run:
            number = store.request_retrieval(
                request.source, one.study_instance_uid, one.series_instance_uid, now
            )
        listed.append(asdict(one) | {"retrieval": number})
    return {"series": listed}


@ROUTER.get("/retrievals")
def list_retrievals(store: SiteStore, limit: Limit = 100) -> list[dict[str, Any]]:
    """Returns the latest retrievals, newest first."""
    return [asdict(retrieval) for retrieval in store.list_retrievals(limit)]


@ROUTER.get("/retrievals/{number}")
def get_retrieval(number: RetrievalNumber, store: SiteStore) -> dict[str, Any]:
    """Returns the state of a retrieval."""
    found = store.get_retrieval(number)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no retrieval {number}")
    return asdict(found)


def _require_source(settings: Settings, name: str) -> None:
    # Not 422, after which the Orthanc hook gives a series up: the configuration may be corrected.
    if name not in retrieval_source_names(settings):
        raise HTTPException(HTTPStatus.NOT_FOUND, unknown_source(settings, name))


def _find(settings: Settings, request: FetchRequest) -> list[FoundSeries]:
    try:
        query = SeriesQuery(
            patient_id=request.patient_id,
            accession_number=request.accession_number,
            study_date=request.study_date,
            modality=request.modality,
            study_instance_uid=request.study_instance_uid,
            series_instance_uid=request.series_instance_uid,
        )
    except ValueError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    return searchable_source(settings, request.source).search(query, request.limit)
