"""WADO-RS: studies, series, instances and frames (PS3.18 10.4)."""

from collections.abc import Iterator

from fastapi import APIRouter, Request
from pydicom.uid import UID, ExplicitVRLittleEndian
from starlette.responses import Response, StreamingResponse

from node.web.dicomweb import frames
from node.web.dicomweb.archive import ArchivedInstance
from node.web.dicomweb.content_negotiation import (
    BodyPart,
    accepted_media_ranges,
    multipart_response,
    not_acceptable,
    produce_first,
)
from node.web.dicomweb.dependencies import InstanceFile, SiteArchive, require_instances
from node.web.dicomweb.transcoding import (
    COMPRESSED_SYNTAXES,
    UNCOMPRESSED_SYNTAXES,
    is_available,
    stored_syntax,
    transcoded,
)
from node.web.dicomweb.urls import SERVICE_PATH

ROUTER = APIRouter(prefix=SERVICE_PATH + "/studies/{study}")
_DICOM = "application/dicom"
_CHUNK_BYTES = 1 << 20
_SERIES = "/series/{series}"
_INSTANCE = "/series/{series}/instances/{instance}"


@ROUTER.get("")
def retrieve_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Returns every instance of a study, including the node's results."""
    return _instances_response(request, require_instances(archive, study))


@ROUTER.get(_SERIES)
def retrieve_series(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """Returns every instance of a series."""
    return _instances_response(request, require_instances(archive, study, series))


@ROUTER.get(_INSTANCE)
def retrieve_instance(
    study: str, series: str, instance: str, request: Request, archive: SiteArchive
) -> Response:
    """Returns one instance."""
    return _instances_response(request, require_instances(archive, study, series, instance))


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
                return multipart_response(produce_first(parts), media_type)
    offered = f'type="{frames.UNCOMPRESSED}" or "{image.stored_media_type}"'
    raise not_acceptable(f"multipart/related; {offered}")


def _instances_response(request: Request, found: tuple[ArchivedInstance, ...]) -> Response:
    stored = [stored_syntax(instance) for instance in found]
    for accepted in accepted_media_ranges(request):
        if accepted.media_type not in {_DICOM, "*/*"} or (
            len(found) > 1 and not accepted.is_multipart
        ):
            continue
        syntaxes = [_syntax_for(accepted.transfer_syntax, syntax) for syntax in stored]
        if not all(map(is_available, found, stored, syntaxes)):
            continue
        parts = map(_instance_part, found, stored, syntaxes)
        if accepted.is_multipart:
            return multipart_response(produce_first(parts), _DICOM)
        only = next(parts)
        return StreamingResponse(only.chunks, media_type=only.content_type)
    offered = ", ".join(sorted({*stored, *UNCOMPRESSED_SYNTAXES, *COMPRESSED_SYNTAXES}))
    raise not_acceptable(
        f'multipart/related; type="{_DICOM}"; transfer-syntax= one of: *, {offered}'
    )


def _syntax_for(wanted: str, stored: str) -> str:
    """Returns the transfer syntax to send: if any is accepted, the stored one.

    A client that names none gets Explicit VR Little Endian (PS3.18 8.7.3.5.2).
    """
    if wanted == "*":
        return stored
    return wanted or ExplicitVRLittleEndian


def _instance_part(instance: ArchivedInstance, stored: str, syntax: str) -> BodyPart:
    content_type = f"{_DICOM}; transfer-syntax={syntax}"
    if syntax == stored:
        return BodyPart(content_type, _file_chunks(instance))
    return BodyPart(content_type, [transcoded(instance, UID(syntax))])


def _file_chunks(instance: ArchivedInstance) -> Iterator[bytes]:
    with instance.local_copy() as path, path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
