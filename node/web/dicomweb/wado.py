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
from node.web.dicomweb.archive import Archive, ArchivedInstance, header, reading
from node.web.dicomweb.content_negotiation import (
    Accepted,
    Part,
    accepted_by,
    multipart,
    not_acceptable,
)
from node.web.dicomweb.dependencies import SiteArchive
from node.web.dicomweb.qido import DICOM_JSON, json_of

ROUTER = APIRouter(prefix="/dicom-web/studies/{study}")
T = TypeVar("T")
_DICOM = "application/dicom"
_CHUNK_BYTES = 1 << 20
_SERIES = "/series/{series}"
_INSTANCE = "/series/{series}/instances/{instance}"


@ROUTER.get("")
def retrieve_study(study: str, request: Request, archive: SiteArchive) -> Response:
    """Every instance of a study, results of ours with it."""
    return _instances(request, _found(archive, study))


@ROUTER.get(_SERIES)
def retrieve_series(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """Every instance of a series."""
    return _instances(request, _found(archive, study, series))


@ROUTER.get(_INSTANCE)
def retrieve_instance(
    study: str, series: str, instance: str, request: Request, archive: SiteArchive
) -> Response:
    """One instance."""
    return _instances(request, _found(archive, study, series, instance))


@ROUTER.get("/metadata")
def study_metadata(study: str, request: Request, archive: SiteArchive) -> Response:
    """The attributes of every instance of a study, without pixel data."""
    return _metadata(request, _found(archive, study))


@ROUTER.get(_SERIES + "/metadata")
def series_metadata(study: str, series: str, request: Request, archive: SiteArchive) -> Response:
    """The attributes of every instance of a series, without pixel data."""
    return _metadata(request, _found(archive, study, series))


@ROUTER.get(_INSTANCE + "/metadata")
def instance_metadata(
    study: str, series: str, instance: str, request: Request, archive: SiteArchive
) -> Response:
    """The attributes of an instance, without pixel data."""
    return _metadata(request, _found(archive, study, series, instance))


def _one_file(study: str, series: str, instance: str, archive: SiteArchive) -> Iterator[Path]:
    with _found(archive, study, series, instance)[0].at_hand() as file:
        yield file


InstanceFile = Annotated[Path, Depends(_one_file)]


@ROUTER.get(_INSTANCE + "/frames/{numbers}")
def retrieve_frames(numbers: str, request: Request, file: InstanceFile) -> Response:
    """Frames by their numbers from 1, as `1,2,5`."""
    wanted = frames.numbers_from(numbers)
    image = frames.FramedImage.open(file)
    image.require(max(wanted))
    for accepted in accepted_by(request):
        for kind in (frames.RAW, image.encoded_kind):
            if accepted.is_multipart and accepted.kind in {kind, "*/*"}:
                content_type = f"{kind}; transfer-syntax={image.syntax_of(kind)}"
                parts = (Part(content_type, [image.frame(n, kind)]) for n in wanted)
                return multipart(_begun(parts), kind)
    raise not_acceptable(f'multipart/related; type="{frames.RAW}" or "{image.encoded_kind}"')


@ROUTER.get(_INSTANCE + "/rendered")
def rendered_instance(request: Request, file: InstanceFile) -> Response:
    """The first frame as a picture, in its first window."""
    return rendered_frame(1, request, file)


@ROUTER.get(_INSTANCE + "/frames/{number}/rendered")
def rendered_frame(number: int, request: Request, file: InstanceFile) -> Response:
    """A frame as a picture, in its first window."""
    image = frames.FramedImage.open(file)
    image.require(number)
    kinds = {accepted.kind for accepted in accepted_by(request)}
    if kinds & {"image/jpeg", "*/*", "image/*"}:
        kind = "image/jpeg"
    elif "image/png" in kinds:
        kind = "image/png"
    else:
        raise not_acceptable("image/jpeg or image/png")
    return Response(image.picture(number, kind), media_type=kind)


def _found(
    archive: Archive, study: str, series: str | None = None, instance: str | None = None
) -> tuple[ArchivedInstance, ...]:
    found = archive.instances(study, series, instance)
    if not found:
        wanted = instance or series or study
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{wanted} is not here")
    return found


def _metadata(request: Request, found: tuple[ArchivedInstance, ...]) -> Response:
    kinds = {accepted.kind for accepted in accepted_by(request)}
    if not kinds & {DICOM_JSON, "application/json", "*/*", "application/*"}:
        raise not_acceptable(DICOM_JSON)
    return StreamingResponse(_begun(_json_array(found)), media_type=DICOM_JSON)


def _json_array(found: tuple[ArchivedInstance, ...]) -> Iterator[bytes]:
    """A JSON array, one instance in memory at a time."""
    for number, instance in enumerate(found):
        before = "," if number else "["
        yield (before + json.dumps(json_of(header(instance)))).encode()
    yield b"]"


def _instances(request: Request, found: tuple[ArchivedInstance, ...]) -> Response:
    stored = [_stored_syntax(instance) for instance in found]
    for accepted in accepted_by(request):
        if not _can_be(accepted, stored):
            continue
        parts = (
            _part(instance, syntax, accepted.transfer_syntax)
            for instance, syntax in zip(found, stored, strict=True)
        )
        if accepted.is_multipart:
            return multipart(_begun(parts), _DICOM)
        if len(found) == 1:
            only = next(parts)
            return StreamingResponse(only.chunks, media_type=only.content_type)
    syntaxes = ", ".join(sorted({*stored, ExplicitVRLittleEndian}))
    raise not_acceptable(
        f'multipart/related; type="{_DICOM}"; transfer-syntax= one of: *, {syntaxes}'
    )


def _stored_syntax(instance: ArchivedInstance) -> str:
    with instance.at_hand() as file, reading(file):
        syntax = read_file_meta_info(file).TransferSyntaxUID
        if not syntax.is_valid:
            raise ValueError("the transfer syntax is no UID")
        return str(syntax)


def _can_be(accepted: Accepted, stored: list[str]) -> bool:
    if accepted.kind not in {_DICOM, "*/*"}:
        return False
    wanted = accepted.transfer_syntax
    return wanted in {"*", "", ExplicitVRLittleEndian} or set(stored) == {wanted}


def _part(instance: ArchivedInstance, stored: str, wanted: str) -> Part:
    """The instance as it is stored where the client takes that, else without compression.

    A client that names no transfer syntax gets Explicit VR Little Endian (PS3.18 8.7.3.5.2).
    """
    if wanted in {"*", stored}:
        return Part(f"{_DICOM}; transfer-syntax={stored}", _file_chunks(instance))
    if stored == ExplicitVRLittleEndian:
        return Part(f"{_DICOM}; transfer-syntax={stored}", _file_chunks(instance))
    return Part(f"{_DICOM}; transfer-syntax={ExplicitVRLittleEndian}", _plain(instance))


def _file_chunks(instance: ArchivedInstance) -> Iterator[bytes]:
    with instance.at_hand() as place, place.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _plain(instance: ArchivedInstance) -> list[bytes]:
    """The instance in Explicit VR Little Endian, its pixels decoded."""
    with instance.at_hand() as file, reading(file):
        dataset = dcmread(file)
        check_nesting(dataset)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=False, little_endian=True)
        return [buffer.getvalue()]


def _begun(items: Iterable[T]) -> Iterator[T]:
    """The items, the first of which is made now.

    What is wrong with it is then told by a status; with a later one, by an answer that is cut off.
    """
    remaining = iter(items)
    return chain(list(islice(remaining, 1)), remaining)
