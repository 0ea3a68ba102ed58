"""STOW-RS: instances come in by HTTP and go through the same inbox as all others (PS3.18 10.5)."""

import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO

from fastapi import APIRouter, HTTPException, Request
from pydicom import Dataset
from pydicom.sequence import Sequence
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from node.domain.errors import Rejected, Transient
from node.domain.instance import Door, Origin, ReceivedInstance
from node.domain.sop_classes import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES
from node.intake.inbox import Inbox
from node.intake.multipart import MOST_PART_BYTES, TooLarge, boundary_of, parts
from node.intake.part10 import received_from_part10
from node.web.dependencies import Now, SiteSettings, SiteStore
from node.web.dicomweb.qido import DICOM_JSON, json_of

ROUTER = APIRouter(prefix="/dicom-web/studies")
_CHUNK_BYTES = 1 << 20
# PS3.18 I.2.2, PS3.7 C: why an instance was not stored.
_CANNOT_UNDERSTAND = 0xC000
_OUT_OF_RESOURCES = 0xA700
_PROCESSING_FAILURE = 0x0110
_SOP_CLASS_NOT_SUPPORTED = 0x0122
_TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


@ROUTER.post("")
async def store_instances(
    request: Request, settings: SiteSettings, store: SiteStore, now: Now
) -> Response:
    """Stores instances of any study."""
    inbox = Inbox(store, settings.least_free_bytes)
    storing = _Storing(inbox, _root(request), _peer(request), None, now)
    inbox.check_room()
    return await _store(request, storing, settings.data_dir)


@ROUTER.post("/{study}")
async def store_instances_of_study(
    study: str, request: Request, settings: SiteSettings, store: SiteStore, now: Now
) -> Response:
    """Stores instances of one study; those of another fail."""
    inbox = Inbox(store, settings.least_free_bytes)
    storing = _Storing(inbox, _root(request), _peer(request), study, now)
    inbox.check_room()
    return await _store(request, storing, settings.data_dir)


class _Storing:
    """One request at work: what was stored, what was not, and why (PS3.18 Table 10.5.3-1)."""

    def __init__(
        self, inbox: Inbox, root: str, peer: str, only_study: str | None, now: datetime
    ) -> None:
        self._inbox = inbox
        self._root = root
        self._origin = Origin(Door.DICOMWEB, peer)
        self._only_study = only_study
        self._now = now
        self._stored: list[Dataset] = []
        self._failed: list[Dataset] = []
        self._unreadable: list[Dataset] = []
        self._out_of_resources = False

    def take(self, content: bytes) -> None:
        """Store one part."""
        try:
            received = received_from_part10(content, self._origin)
        except Rejected:
            self._unreadable.append(_failure(_CANNOT_UNDERSTAND))
            return
        reason = self._reason_against(received)
        try:
            if reason is None:
                self._inbox.accept(received, self._now)
        except Rejected:
            reason = _PROCESSING_FAILURE
        except Transient:
            self._out_of_resources = True
            reason = _OUT_OF_RESOURCES
        item = _referenced(received)
        if reason is None:
            item.RetrieveURL = (
                f"{self._root}/studies/{received.study_instance_uid}"
                f"/series/{received.series_instance_uid}/instances/{received.sop_instance_uid}"
            )
            self._stored.append(item)
        else:
            item.FailureReason = reason
            self._failed.append(item)

    def answer(self) -> Response:
        """200 when all was stored, 202 when some was, 409 or 503 when nothing was."""
        told = Dataset()
        if self._only_study is not None:
            told.RetrieveURL = f"{self._root}/studies/{self._only_study}"
        if self._stored:
            told.ReferencedSOPSequence = Sequence(self._stored)
        if self._failed:
            told.FailedSOPSequence = Sequence(self._failed)
        if self._unreadable:
            told.OtherFailuresSequence = Sequence(self._unreadable)
        return JSONResponse(json_of(told), self._status(), media_type=DICOM_JSON)

    def _status(self) -> HTTPStatus:
        if self._stored:
            failed = self._failed or self._unreadable
            return HTTPStatus.ACCEPTED if failed else HTTPStatus.OK
        if self._out_of_resources:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if self._failed or self._unreadable:
            return HTTPStatus.CONFLICT
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the request holds no instance")

    def _reason_against(self, received: ReceivedInstance) -> int | None:
        if received.sop_class_uid not in STORAGE_SOP_CLASSES:
            return _SOP_CLASS_NOT_SUPPORTED
        if received.transfer_syntax_uid not in STORAGE_TRANSFER_SYNTAXES:
            return _TRANSFER_SYNTAX_NOT_SUPPORTED
        if self._only_study not in {None, received.study_instance_uid}:
            return _PROCESSING_FAILURE
        return None


async def _store(request: Request, storing: _Storing, room: Path) -> Response:
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    single = content_type.split(";")[0].strip().lower() == "application/dicom"
    if not boundary and not single:
        told = 'send multipart/related; type="application/dicom" with its boundary'
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, told)
    with _spool(room) as body:
        # The whole of it first: what is read as it comes would hold a thread for each sender.
        async for chunk in request.stream():
            await run_in_threadpool(_keep, body, chunk)
        await run_in_threadpool(_take_all, body, boundary, storing)
    return storing.answer()


def _take_all(body: IO[bytes], boundary: str, storing: _Storing) -> None:
    contents = parts(_chunks(body), boundary) if boundary else _whole(body)
    # What was stored before an error stays; the sender sends all again, which is harmless.
    try:
        for content in contents:
            storing.take(content)
    except TooLarge as error:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
    except Transient as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error


def _whole(body: IO[bytes]) -> Iterator[bytes]:
    """The body as one instance."""
    if body.seek(0, os.SEEK_END) > MOST_PART_BYTES:
        raise TooLarge
    body.seek(0)
    yield body.read()


def _spool(room: Path) -> IO[bytes]:
    """A nameless file on the disk that the instances go to."""
    try:
        return tempfile.TemporaryFile(dir=room)
    except OSError as error:
        raise Transient(f"no room for the request: {error.strerror}") from error


def _keep(body: IO[bytes], chunk: bytes) -> None:
    try:
        body.write(chunk)
    except OSError as error:
        raise Transient(f"no room for the request: {error.strerror}") from error


def _chunks(body: IO[bytes]) -> Iterator[bytes]:
    body.seek(0)
    while chunk := body.read(_CHUNK_BYTES):
        yield chunk


def _referenced(received: ReceivedInstance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = received.sop_class_uid
    item.ReferencedSOPInstanceUID = received.sop_instance_uid
    return item


def _failure(reason: int) -> Dataset:
    item = Dataset()
    item.FailureReason = reason
    return item


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"


def _root(request: Request) -> str:
    return f"{str(request.base_url).rstrip('/')}/dicom-web"
