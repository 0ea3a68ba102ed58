"""WADO-RS: studies, series, instances, their metadata and frames (PS3.18 10.4)."""

import json
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request
from pydicom import dcmread, dcmwrite
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian
from starlette.responses import Response, StreamingResponse

from node.dicom.ct.headers import check_nesting
from node.web.dicomweb import frames
from node.web.dicomweb.archive import (
    Archive,
    ArchivedInstance,
    file_errors_as_transient,
    read_header,
)
from node.web.dicomweb.content_negotiation import (
    BodyPart,
    MediaRange,
    accepted_media_ranges,
    multipart_response,
    not_acceptable,
)
from node.web.dicomweb.dependencies import SiteArchive
from node.web.dicomweb.json_model import DICOM_JSON, dataset_to_json
from node.web.dicomweb.urls import SERVICE_PATH

ROUTER = APIRouter(prefix=SERVICE_PATH + "/studies/{study}")
T = TypeVar("T")
_DICOM = "application/dicom"
_CHUNK_BYTES = 1 << 20
_SERIES = "/series/{series}"
_INSTANCE = "/series/{series}/instances/{instance}"


@ROUTER.get("")
def retrieve_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Returns every instance of a study, including the node's results."""
    return _instances_response(request, _require_instances(archive, study))


@ROUTER.get(_SERIES)
def retrieve_series(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """Returns every instance of a series."""
    return _instances_response(request, _require_instances(archive, study, series))


@ROUTER.get(_INSTANCE)
def retrieve_instance(
    study: str, series: str, instance: str, request: Request, archive: SiteArchive
) -> Response:
    """Returns one instance."""
    return _instances_response(request, _require_instances(archive, study, series, instance))


@ROUTER.get("/metadata")
def study_metadata(study: str, request: Request, archive: SiteArchive) -> Response:
    """Returns the attributes of every instance of a study, without pixel data."""
    return _metadata_response(request, _require_instances(archive, study))


@ROUTER.get(_SERIES + "/metadata")
def series_metadata(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """Returns the attributes of every instance of a series, without pixel data."""
    return _metadata_response(request, _require_instances(archive, study, series))


@ROUTER.get(_INSTANCE + "/metadata")
def instance_metadata(
    study: str, series: str, instance: str, request: Request, archive: SiteArchive
) -> Response:
    """Returns the attributes of an instance, without pixel data."""
    return _metadata_response(request, _require_instances(archive, study, series, instance))


def _instance_file(study: str, series: str, instance: str, archive: SiteArchive) -> Iterator[Path]:
    with _require_instances(archive, study, series, instance)[0].local_copy() as file:
        yield file


InstanceFile = Annotated[Path, Depends(_instance_file)]


@ROUTER.get(_INSTANCE + "/frames/{numbers}")
def retrieve_frames(numbers: str, request: Request, file: InstanceFile) -> Response:
    """Returns frames by their numbers from 1, such as `1,2,5`."""
    wanted = frames.parse_frame_numbers(numbers)
    image = frames.ImageFile.open(file)
    image.require_frame(max(wanted))
    for accepted in accepted_media_ranges(request):
        for media_type in (frames.UNCOMPRESSED, image.stored_media_type):
            if accepted.is_multipart and accepted.media_type in {media_type, "*/*"}:
                syntax = image.transfer_syntax_as(media_type)
                content_type = f"{media_type}; transfer-syntax={syntax}"
                parts = (BodyPart(content_type, [image.frame(n, media_type)]) for n in wanted)
                return multipart_response(_produce_first(parts), media_type)
    offered = f'type="{frames.UNCOMPRESSED}" or "{image.stored_media_type}"'
    raise not_acceptable(f"multipart/related; {offered}")


@ROUTER.get(_INSTANCE + "/rendered")
def rendered_instance(request: Request, file: InstanceFile) -> Response:
    """Returns the first frame as a picture, in its first window."""
    return rendered_frame(1, request, file)


@ROUTER.get(_INSTANCE + "/frames/{number}/rendered")
def rendered_frame(number: int, request: Request, file: InstanceFile) -> Response:
    """Returns a frame as a picture, in its first window."""
    image = frames.ImageFile.open(file)
    image.require_frame(number)
    accepted = {media_range.media_type for media_range in accepted_media_ranges(request)}
    if accepted & {"image/jpeg", "*/*", "image/*"}:
        media_type = "image/jpeg"
    elif "image/png" in accepted:
        media_type = "image/png"
    else:
        raise not_acceptable("image/jpeg or image/png")
    return Response(image.render(number, media_type), media_type=media_type)


def _require_instances(
    archive: Archive, study: str, series: str | None = None, instance: str | None = None
) -> tuple[ArchivedInstance, ...]:
    """Returns the instances; the request ends with 404 when there are none."""
    found = archive.find_instances(study, series, instance)
    if not found:
        wanted = instance or series or study
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{wanted} is not here")
    return found


def _metadata_response(request: Request, found: tuple[ArchivedInstance, ...]) -> Response:
    accepted = {media_range.media_type for media_range in accepted_media_ranges(request)}
    if not accepted & {DICOM_JSON, "application/json", "*/*", "application/*"}:
        raise not_acceptable(DICOM_JSON)
    return StreamingResponse(_produce_first(_json_array(found)), media_type=DICOM_JSON)


def _json_array(found: tuple[ArchivedInstance, ...]) -> Iterator[bytes]:
    """Yields a JSON array with one instance in memory at a time."""
    for number, instance in enumerate(found):
        before = "," if number else "["
        yield (before + json.dumps(dataset_to_json(read_header(instance)))).encode()
    yield b"]"


def _instances_response(request: Request, found: tuple[ArchivedInstance, ...]) -> Response:
    stored = [_stored_transfer_syntax(instance) for instance in found]
    for accepted in accepted_media_ranges(request):
        if not _is_available(accepted, stored):
            continue
        parts = (
            _instance_part(instance, syntax, accepted.transfer_syntax)
            for instance, syntax in zip(found, stored, strict=True)
        )
        if accepted.is_multipart:
            return multipart_response(_produce_first(parts), _DICOM)
        if len(found) == 1:
            only = next(parts)
            return StreamingResponse(only.chunks, media_type=only.content_type)
    syntaxes = ", ".join(sorted({*stored, ExplicitVRLittleEndian}))
    raise not_acceptable(
        f'multipart/related; type="{_DICOM}"; transfer-syntax= one of: *, {syntaxes}'
    )


def _stored_transfer_syntax(instance: ArchivedInstance) -> str:
    with instance.local_copy() as file, file_errors_as_transient(file):
        syntax = read_file_meta_info(file).TransferSyntaxUID
        if not syntax.is_valid:
            raise ValueError("the transfer syntax is not a UID")
        return str(syntax)


def _is_available(accepted: MediaRange, stored: list[str]) -> bool:
    """Whether instances in the stored transfer syntaxes can be sent as the client accepts them."""
    if accepted.media_type not in {_DICOM, "*/*"}:
        return False
    wanted = accepted.transfer_syntax
    return wanted in {"*", "", ExplicitVRLittleEndian} or set(stored) == {wanted}


def _instance_part(instance: ArchivedInstance, stored: str, wanted: str) -> BodyPart:
    """Returns the instance as stored if the client accepts that, else without compression.

    A client that names no transfer syntax gets Explicit VR Little Endian (PS3.18 8.7.3.5.2).
    """
    if wanted in {"*", stored} or stored == ExplicitVRLittleEndian:
        return BodyPart(f"{_DICOM}; transfer-syntax={stored}", _file_chunks(instance))
    content_type = f"{_DICOM}; transfer-syntax={ExplicitVRLittleEndian}"
    return BodyPart(content_type, _uncompressed(instance))


def _file_chunks(instance: ArchivedInstance) -> Iterator[bytes]:
    with instance.local_copy() as path, path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _uncompressed(instance: ArchivedInstance) -> list[bytes]:
    """Returns the instance in Explicit VR Little Endian, with decoded pixels."""
    with instance.local_copy() as file, file_errors_as_transient(file):
        dataset = dcmread(file)
        check_nesting(dataset)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
        return [buffer.getvalue()]


def _produce_first(items: Iterable[T]) -> Iterator[T]:
    """Produces the first item at once and the others on demand.

    An error in the first item can still set the status of the response; an error in a later one
    cuts the response off.
    """
    remaining = iter(items)
    return chain(list(islice(remaining, 1)), remaining)
