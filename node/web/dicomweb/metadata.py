"""Metadata of studies, series and instances, and their bulk data (PS3.18 10.4.1.1.2)."""

import json
from collections.abc import Iterator

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from node.web.dicomweb.archive import ArchivedInstance, read_header
from node.web.dicomweb.bulk_data import read_value
from node.web.dicomweb.content_negotiation import (
    BodyPart,
    accepted_media_ranges,
    multipart_response,
    not_acceptable,
    produce_first,
)
from node.web.dicomweb.data_set_models import DICOM_JSON, DICOM_XML, metadata_to_json, to_xml
from node.web.dicomweb.dependencies import InstanceFile, SiteArchive, require_instances
from node.web.dicomweb.urls import SERVICE_PATH, bulk_data_url, service_root

ROUTER = APIRouter(prefix=SERVICE_PATH + "/studies/{study}")
_SERIES = "/series/{series}"
_INSTANCE = "/series/{series}/instances/{instance}"
_JSON_RANGES = frozenset({DICOM_JSON, "application/json", "*/*", "application/*"})
_OCTETS = "application/octet-stream"


@ROUTER.get("/metadata")
def study_metadata(study: str, request: Request, archive: SiteArchive) -> Response:
    """Returns the attributes of every instance of a study."""
    return _metadata_response(request, require_instances(archive, study))


@ROUTER.get(_SERIES + "/metadata")
def series_metadata(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """Returns the attributes of every instance of a series."""
    return _metadata_response(request, require_instances(archive, study, series))


@ROUTER.get(_INSTANCE + "/metadata")
def instance_metadata(
    study: str, series: str, instance: str, request: Request, archive: SiteArchive
) -> Response:
    """Returns the attributes of an instance."""
    return _metadata_response(request, require_instances(archive, study, series, instance))


@ROUTER.get(_INSTANCE + "/bulkdata/{path:path}")
def retrieve_bulk_data(path: str, request: Request, file: InstanceFile) -> Response:
    """Returns a value that metadata refers to by its BulkDataURI."""
    for accepted in accepted_media_ranges(request):
        if accepted.media_type not in {_OCTETS, "application/*", "*/*"}:
            continue
        chunks = produce_first(read_value(file, path))
        if accepted.is_multipart:
            return multipart_response([BodyPart(_OCTETS, chunks)], _OCTETS)
        return StreamingResponse(chunks, media_type=_OCTETS)
    raise not_acceptable(f'multipart/related; type="{_OCTETS}"')


def _metadata_response(request: Request, found: tuple[ArchivedInstance, ...]) -> Response:
    root = service_root(request)
    for accepted in accepted_media_ranges(request):
        if accepted.media_type == DICOM_XML and (accepted.is_multipart or len(found) == 1):
            documents = (to_xml(_attributes(instance, root)) for instance in found)
            if not accepted.is_multipart:
                return Response(next(documents), media_type=DICOM_XML)
            parts = (BodyPart(DICOM_XML, [document]) for document in documents)
            return multipart_response(produce_first(parts), DICOM_XML)
        if accepted.media_type in _JSON_RANGES:
            return StreamingResponse(produce_first(_json_array(found, root)), media_type=DICOM_JSON)
    raise not_acceptable(f'{DICOM_JSON} or multipart/related; type="{DICOM_XML}"')


def _attributes(instance: ArchivedInstance, root: str) -> dict[str, object]:
    url = bulk_data_url(
        root,
        instance.study_instance_uid,
        instance.series_instance_uid,
        instance.sop_instance_uid,
    )
    return metadata_to_json(read_header(instance), url)


def _json_array(found: tuple[ArchivedInstance, ...], root: str) -> Iterator[bytes]:
    """Yields a JSON array with one instance in memory at a time."""
    for number, instance in enumerate(found):
        before = "," if number else "["
        yield (before + json.dumps(_attributes(instance, root))).encode()
    yield b"]"
