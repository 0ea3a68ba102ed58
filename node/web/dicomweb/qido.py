"""QIDO-RS: search for studies, series and instances (PS3.18 10.6). Reads no pixel data."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from typing import TypeVar

from fastapi import APIRouter, Request
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from starlette.responses import JSONResponse, Response

from node.web.dicomweb.archive import (
    Archive,
    ArchivedInstance,
    ArchivedSeries,
    read_attributes,
    read_header,
)
from node.web.dicomweb.data_set_models import DICOM_JSON, dataset_to_json
from node.web.dicomweb.dependencies import SiteArchive
from node.web.dicomweb.query import MAX_RESULTS, Search, parse_search
from node.web.dicomweb.urls import SERVICE_PATH, retrieve_url, service_root

ROUTER = APIRouter(prefix=SERVICE_PATH)
_Candidate = TypeVar("_Candidate")
# A study has up to some hundred series, and a query takes some ten thousand of them.
_GROUP_SIZE = 50


def _tags(*keywords: str) -> frozenset[int]:
    tags = {tag_for_keyword(keyword) for keyword in keywords}
    return frozenset(tag for tag in tags if tag is not None)


# Attributes of every result (PS3.18 Tables 10.6.3-3 to 10.6.3-5), where the files contain them.
_STUDY_TAGS = _tags(
    *("SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "StudyDescription"),
    *("ReferringPhysicianName", "TimezoneOffsetFromUTC", "PatientName", "PatientID"),
    *("PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID"),
)
_SERIES_TAGS = _tags(
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "SeriesDate"),
    *("SeriesTime", "BodyPartExamined", "PerformedProcedureStepStartDate"),
    *("PerformedProcedureStepStartTime", "RequestAttributesSequence", "Manufacturer"),
)
_INSTANCE_TAGS = _tags(
    *("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated"),
    "NumberOfFrames",
)
_STUDY_UID, _SERIES_UID, _SOP_UID = 0x0020000D, 0x0020000E, 0x00080018


@ROUTER.get("/studies")
def search_studies(request: Request, archive: SiteArchive) -> Response:
    """Searches for studies with at least one series in the archive."""
    search = parse_search(request.query_params.multi_items())
    study = search.single_uid(_STUDY_UID)
    studies = archive.find_studies(search.narrowing) if study is None else iter([study])
    if not search.reads_files:
        # Each candidate is a result, so files of studies before the page are not read.
        studies, search = islice(studies, search.offset, None), replace(search, offset=0)
    return _response(search, _study_rows(archive, studies, search, service_root(request)))


@ROUTER.get("/series")
def search_series(request: Request, archive: SiteArchive) -> Response:
    """Searches for series of any study."""
    return _series_response(request, archive, None)


@ROUTER.get("/studies/{study}/series")
def search_series_of_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Searches for series of one study."""
    return _series_response(request, archive, study)


@ROUTER.get("/instances")
def search_instances(request: Request, archive: SiteArchive) -> Response:
    """Searches for instances of any study."""
    return _instances_response(request, archive, None, None)


@ROUTER.get("/studies/{study}/instances")
def search_instances_of_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Searches for instances of one study."""
    return _instances_response(request, archive, study, None)


@ROUTER.get("/studies/{study}/series/{series}/instances")
def search_instances_of_series(
    study: str, series: str, request: Request, archive: SiteArchive
) -> Response:
    """Searches for instances of one series."""
    return _instances_response(request, archive, study, series)


def _series_response(request: Request, archive: Archive, study: str | None) -> Response:
    search, root = parse_search(request.query_params.multi_items()), service_root(request)
    study_uid, series_uid = study or search.single_uid(_STUDY_UID), search.single_uid(_SERIES_UID)
    if study_uid is None and series_uid is None and not search.reads_files:
        # Each candidate is a result, so the index skips what is before the page.
        candidates = archive.find_series(skip=search.offset)
        search = replace(search, offset=0)
    else:
        candidates = archive.find_series(study_uid, series_uid, search.narrowing)
    return _response(search, _series_rows(archive, candidates, search, root))


def _instances_response(
    request: Request, archive: Archive, study: str | None, series: str | None
) -> Response:
    search, root = parse_search(request.query_params.multi_items()), service_root(request)
    study_uid = study or search.single_uid(_STUDY_UID)
    series_uid = series or search.single_uid(_SERIES_UID)
    sop_uid = search.single_uid(_SOP_UID)
    if study_uid is None and series_uid is None:
        candidates = archive.find_series_with_instances(search.narrowing, sop_uid)
    else:
        candidates = archive.find_series(study_uid, series_uid, search.narrowing)
    instances: Iterator[tuple[ArchivedSeries, ArchivedInstance]] = (
        (found, instance)
        for found in candidates
        for instance in archive.instances_of(found)
        if sop_uid in {None, instance.sop_instance_uid}
    )
    if not search.reads_files:
        # Each candidate is a result, so files of instances before the page are not read.
        instances = islice(instances, search.offset, None)
        search = replace(search, offset=0)
    rows = (_instance_row(found, instance, search, root) for found, instance in instances)
    return _response(search, rows)


def _response(search: Search, rows: Iterable[Dataset]) -> Response:
    """Returns the matching rows of the requested page; 204 when there are none."""
    matching = (row for row in rows if search.matches(row))
    # One more than requested shows whether there are more.
    found = list(islice(matching, search.offset, search.offset + search.limit + 1))
    page = [dataset_to_json(row) for row in found[: search.limit]]
    headers = {"Cache-Control": "no-store"}
    if len(found) > search.limit == MAX_RESULTS:
        headers["Warning"] = '299 segnode: "there are more results; ask with limit and offset"'
    if not page:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    return JSONResponse(page, media_type=DICOM_JSON, headers=headers)


def _study_rows(
    archive: Archive, studies: Iterable[str], search: Search, root: str
) -> Iterator[Dataset]:
    """Yields one row for each study."""
    for group in _groups(studies, search):
        found = [list(members) for members in archive.series_of_studies(group)]
        first = archive.first_instances_of([series for members in found for series in members])
        yield from (_study_row(members, first, search, root) for members in found if members)


def _series_rows(
    archive: Archive, candidates: Iterable[ArchivedSeries], search: Search, root: str
) -> Iterator[Dataset]:
    """Yields one row for each series."""
    for group in _groups(candidates, search):
        first = archive.first_instances_of(group)
        yield from (_series_row(series, first, search, root) for series in group)


def _groups(candidates: Iterable[_Candidate], search: Search) -> Iterator[list[_Candidate]]:
    """Yields the candidates in groups, so that one query serves many of them.

    The first has no more than the page needs if all of them match.
    """
    remaining = iter(candidates)
    size = min(_GROUP_SIZE, search.offset + search.limit + 1)
    while group := list(islice(remaining, size)):
        yield group
        size = _GROUP_SIZE


def _study_row(
    members: list[ArchivedSeries],
    first: Mapping[str, ArchivedInstance],
    search: Search,
    root: str,
) -> Dataset:
    tags = _STUDY_TAGS | _SERIES_TAGS
    headers = [_header(first.get(one.series_instance_uid), tags, search) for one in members]
    row = _copy_requested(headers[0], _STUDY_TAGS, search)
    row.ModalitiesInStudy = sorted({str(h.Modality) for h in headers if h.get("Modality")})
    row.NumberOfStudyRelatedSeries = len(members)
    row.NumberOfStudyRelatedInstances = sum(series.instance_count for series in members)
    row.StudyInstanceUID = study = members[0].study_instance_uid
    return _with_location(row, retrieve_url(root, study))


def _series_row(
    series: ArchivedSeries, first: Mapping[str, ArchivedInstance], search: Search, root: str
) -> Dataset:
    tags = _STUDY_TAGS | _SERIES_TAGS
    header = _header(first.get(series.series_instance_uid), tags, search)
    row = _copy_requested(header, tags, search)
    row.NumberOfSeriesRelatedInstances = series.instance_count
    row.StudyInstanceUID = study = series.study_instance_uid
    row.SeriesInstanceUID = uid = series.series_instance_uid
    return _with_location(row, retrieve_url(root, study, uid))


def _instance_row(
    series: ArchivedSeries, instance: ArchivedInstance, search: Search, root: str
) -> Dataset:
    tags = _STUDY_TAGS | _SERIES_TAGS | _INSTANCE_TAGS
    row = _copy_requested(_header(instance, tags, search), tags, search)
    row.StudyInstanceUID = study = series.study_instance_uid
    row.SeriesInstanceUID = series_uid = series.series_instance_uid
    row.SOPInstanceUID = sop_uid = instance.sop_instance_uid
    return _with_location(row, retrieve_url(root, study, series_uid, sop_uid))


def _header(instance: ArchivedInstance | None, tags: frozenset[int], search: Search) -> Dataset:
    """Returns the header of the instance; empty when there is none."""
    if instance is None:
        return Dataset()
    if search.include_all:
        return read_header(instance)
    return read_attributes(instance, tags | search.tags)


def _copy_requested(source: Dataset, tags: frozenset[int], search: Search) -> Dataset:
    """Returns a copy of the attributes that the response contains or the filters need."""
    row = Dataset()
    for element in source:
        if search.include_all or element.tag in tags | search.tags:
            row.add(element)
    return row


def _with_location(row: Dataset, url: str) -> Dataset:
    row.RetrieveURL = url
    row.InstanceAvailability = "ONLINE"
    return row
