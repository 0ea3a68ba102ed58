"""QIDO-RS: search for studies, series and instances (PS3.18 10.6). Reads no pixel data."""

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from fastapi import APIRouter, Request
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from starlette.responses import JSONResponse, Response

from node.web.dicomweb.archive import Archive, ArchivedInstance, ArchivedSeries, header, summary
from node.web.dicomweb.dependencies import SiteArchive
from node.web.dicomweb.query import MOST_RESULTS, Search, search_from

ROUTER = APIRouter(prefix="/dicom-web")
DICOM_JSON = "application/dicom+json"


def _tags(*keywords: str) -> frozenset[int]:
    tags = {tag_for_keyword(keyword) for keyword in keywords}
    return frozenset(tag for tag in tags if tag is not None)


# What is always told (PS3.18 Tables 10.6.3-3 to 10.6.3-5), as far as it stands in the files.
_OF_STUDY = _tags(
    *("SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription"),
    *("ReferringPhysicianName", "TimezoneOffsetFromUTC", "PatientName", "PatientID"),
    *("PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID"),
)
_OF_SERIES = _tags(
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "SeriesDate"),
    *("SeriesTime", "BodyPartExamined", "PerformedProcedureStepStartDate"),
    *("PerformedProcedureStepStartTime", "RequestAttributesSequence", "Manufacturer"),
)
_OF_INSTANCE = _tags(
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated"),
    "NumberOfFrames",
)
_STUDY_UID, _SERIES_UID, _SOP_UID = 0x0020000D, 0x0020000E, 0x00080018
_CHARACTER_SET = "00080005"


@ROUTER.get("/studies")
def search_studies(request: Request, archive: SiteArchive) -> Response:
    """Studies of which we have a series."""
    search = search_from(request.query_params.multi_items())
    return _answer(search, _studies(archive, search, _root(request)))


@ROUTER.get("/series")
def search_series(request: Request, archive: SiteArchive) -> Response:
    """Series of any study."""
    return _series_answer(request, archive, None)


@ROUTER.get("/studies/{study}/series")
def search_series_of_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Series of one study."""
    return _series_answer(request, archive, study)


@ROUTER.get("/instances")
def search_instances(request: Request, archive: SiteArchive) -> Response:
    """Instances of any study."""
    return _instances_answer(request, archive, None, None)


@ROUTER.get("/studies/{study}/instances")
def search_instances_of_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Instances of one study."""
    return _instances_answer(request, archive, study, None)


@ROUTER.get("/studies/{study}/series/{series}/instances")
def search_instances_of_series(
    study: str, series: str, request: Request, archive: SiteArchive
) -> Response:
    """Instances of one series."""
    return _instances_answer(request, archive, study, series)


def _series_answer(request: Request, archive: Archive, study: str | None) -> Response:
    search = search_from(request.query_params.multi_items())
    of = (study or search.uid(_STUDY_UID), search.uid(_SERIES_UID))
    rows = (_series_row(archive, series, search, _root(request)) for series in archive.series(*of))
    return _answer(search, rows)


def _instances_answer(
    request: Request, archive: Archive, study: str | None, series: str | None
) -> Response:
    search = search_from(request.query_params.multi_items())
    of = (study or search.uid(_STUDY_UID), series or search.uid(_SERIES_UID))
    only = search.uid(_SOP_UID)
    rows = (
        _instance_row(found, instance, search, _root(request))
        for found in archive.series(*of)
        for instance in archive.instances_of(found)
        if only in {None, instance.sop_instance_uid}
    )
    return _answer(search, rows)


def _answer(search: Search, rows: Iterable[Dataset]) -> Response:
    """The matching rows of the page that is asked for; 204 when there are none."""
    matching = (row for row in rows if search.matches(row))
    # One more than asked for tells whether there are more.
    found = list(islice(matching, search.offset, search.offset + search.limit + 1))
    page = [json_of(row) for row in found[: search.limit]]
    headers = {"Cache-Control": "no-store"}
    if len(found) > search.limit == MOST_RESULTS:
        headers["Warning"] = '299 segnode: "there are more results; ask with limit and offset"'
    if not page:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    return JSONResponse(page, media_type=DICOM_JSON, headers=headers)


def _studies(archive: Archive, search: Search, root: str) -> Iterator[Dataset]:
    """One row for each study."""
    wanted = search.uid(_STUDY_UID)
    told: set[str] = set()
    for first in archive.series(wanted):
        uid = first.study_instance_uid
        if uid not in told:
            told.add(uid)
            yield _study_row(archive, list(archive.series(uid)), search, root)


def _study_row(
    archive: Archive, members: list[ArchivedSeries], search: Search, root: str
) -> Dataset:
    headers = [_header(archive.instances_of(s), _OF_STUDY | _OF_SERIES, search) for s in members]
    row = _picked(headers[0], _OF_STUDY, search)
    row.ModalitiesInStudy = sorted({str(h.Modality) for h in headers if h.get("Modality")})
    row.NumberOfStudyRelatedSeries = len(members)
    row.NumberOfStudyRelatedInstances = sum(series.instance_count for series in members)
    row.StudyInstanceUID = members[0].study_instance_uid
    return _placed(row, f"{root}/studies/{row.StudyInstanceUID}")


def _series_row(archive: Archive, series: ArchivedSeries, search: Search, root: str) -> Dataset:
    always = _OF_STUDY | _OF_SERIES
    row = _picked(_header(archive.instances_of(series), always, search), always, search)
    row.NumberOfSeriesRelatedInstances = series.instance_count
    row.StudyInstanceUID = study = series.study_instance_uid
    row.SeriesInstanceUID = series.series_instance_uid
    return _placed(row, f"{root}/studies/{study}/series/{series.series_instance_uid}")


def _instance_row(
    series: ArchivedSeries, instance: ArchivedInstance, search: Search, root: str
) -> Dataset:
    always = _OF_STUDY | _OF_SERIES | _OF_INSTANCE
    row = _picked(_header((instance,), always, search), always, search)
    row.StudyInstanceUID = study = series.study_instance_uid
    row.SeriesInstanceUID = series.series_instance_uid
    row.SOPInstanceUID = instance.sop_instance_uid
    of_series = f"{root}/studies/{study}/series/{series.series_instance_uid}"
    return _placed(row, f"{of_series}/instances/{instance.sop_instance_uid}")


def _header(
    instances: tuple[ArchivedInstance, ...], always: frozenset[int], search: Search
) -> Dataset:
    if not instances:
        return Dataset()
    first = instances[0]
    return header(first) if search.include_all else summary(first, always | search.tags)


def _picked(source: Dataset, always: frozenset[int], search: Search) -> Dataset:
    """A copy of what is to be told and matched."""
    row = Dataset()
    for element in source:
        if search.include_all or element.tag in always | search.tags:
            row.add(element)
    return row


def _placed(row: Dataset, url: str) -> Dataset:
    row.RetrieveURL = url
    row.InstanceAvailability = "ONLINE"
    return row


def _root(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}{ROUTER.prefix}"


def json_of(dataset: Dataset) -> dict[str, Any]:
    """The data set in the DICOM JSON model (PS3.18 F); what cannot be told is left out."""
    told: dict[str, Any] = dataset.to_json_dict(suppress_invalid_tags=True)
    if _CHARACTER_SET in told:  # whatever the file is written in, JSON is UTF-8
        told[_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return told
