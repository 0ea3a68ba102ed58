"""STOW-RS: stores instances from HTTP requests through the inbox (PS3.18 10.5)."""

import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import IO

import anyio
from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydicom import Dataset
from pydicom.sequence import Sequence
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from node.dicom.uid_names import uid_name
from node.domain.errors import Rejected, Transient
from node.domain.instance import Channel, Origin, ReceivedInstance
from node.domain.sop_classes import STORAGE_SOP_CLASSES, STORAGE_TRANSFER_SYNTAXES
from node.intake.inbox import Inbox
from node.intake.multipart import (
    MAX_PART_BYTES,
    PartTooLarge,
    TooManyParts,
    iter_parts,
    parse_boundary,
)
from node.intake.part10 import received_from_part10
from node.intake.refused_images import RefusedImages
from node.settings import Settings
from node.store import Store
from node.web.dependencies import Now, SiteSettings, SiteStore, refused_images_of
from node.web.dicomweb.data_set_models import DICOM_JSON, dataset_to_json
from node.web.dicomweb.urls import SERVICE_PATH, retrieve_url, service_root

ROUTER = APIRouter(prefix=f"{SERVICE_PATH}/studies")
_CHUNK_BYTES = 1 << 20
# An instance of 2 GiB takes three times that memory until it is stored; further requests wait.
MAX_PARSED_AT_ONCE = 4
# Failure Reason (0008,1197): PS3.18 I.2.2, PS3.7 C.
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
    return await _store(request, settings, store, now, only_study=None)


@ROUTER.post("/{study}")
async def store_instances_of_study(
    study: str, request: Request, settings: SiteSettings, store: SiteStore, now: Now
) -> Response:
    """Stores instances of one study; instances of another study fail."""
    return await _store(request, settings, store, now, only_study=study)


class _StoreTransaction:
    """Stores the instances of one request and collects the response (PS3.18 Table 10.5.3-1)."""

    def __init__(
        self,
        inbox: Inbox,
        refused: RefusedImages,
        *,
        root: str,
        origin: Origin,
        only_study: str | None,
        now: datetime,
    ) -> None:
        self._inbox = inbox
        self._refused = refused
        self._root = root
        self._origin = origin
        self._only_study = only_study
        self._now = now
        self._stored: list[Dataset] = []
        self._failed: list[Dataset] = []
        self._unreadable: list[Dataset] = []
        self._out_of_resources = False

    def store_part(self, content: bytes) -> None:
        """Stores the instance in one part and records the outcome."""
        try:
            received = received_from_part10(content, self._origin)
        except Rejected as error:
            self._refused.add_file(content, str(error))
            self._unreadable.append(_failure(_CANNOT_UNDERSTAND))
            return
        reason = self._reason_against(received, content)
        try:
            if reason is None:
                self._inbox.accept(received, self._now)
        except Rejected as error:
            self._refused.add_file(content, str(error))
            reason = _PROCESSING_FAILURE
        except Transient as error:
            self._refused.add_file(content, str(error))
            self._out_of_resources = True
            reason = _OUT_OF_RESOURCES
        item = _sop_reference(received)
        if reason is None:
            item.RetrieveURL = retrieve_url(
                self._root,
                received.study_instance_uid,
                received.series_instance_uid,
                received.sop_instance_uid,
            )
            self._stored.append(item)
        else:
            item.FailureReason = reason
            self._failed.append(item)

    def response(self) -> Response:
        """Returns 200 if all instances were stored, 202 if some were, 409 or 503 if none was."""
        outcome = Dataset()
        if self._only_study is not None:
            outcome.RetrieveURL = retrieve_url(self._root, self._only_study)
        if self._stored:
            outcome.ReferencedSOPSequence = Sequence(self._stored)
        if self._failed:
            outcome.FailedSOPSequence = Sequence(self._failed)
        if self._unreadable:
            outcome.OtherFailuresSequence = Sequence(self._unreadable)
        return JSONResponse(dataset_to_json(outcome), self._status(), media_type=DICOM_JSON)

    def _status(self) -> HTTPStatus:
        if self._stored:
            failed = self._failed or self._unreadable
            return HTTPStatus.ACCEPTED if failed else HTTPStatus.OK
        if self._out_of_resources:
            return HTTPStatus.SERVICE_UNAVAILABLE
        if self._failed or self._unreadable:
            return HTTPStatus.CONFLICT
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the request contains no instance")

    def _reason_against(self, received: ReceivedInstance, content: bytes) -> int | None:
        if received.sop_class_uid not in STORAGE_SOP_CLASSES:
            return _SOP_CLASS_NOT_SUPPORTED
        if received.transfer_syntax_uid not in STORAGE_TRANSFER_SYNTAXES:
            name = uid_name(received.transfer_syntax_uid)
            self._refused.add_file(content, f"its transfer syntax is not supported: {name}")
            return _TRANSFER_SYNTAX_NOT_SUPPORTED
        if self._only_study not in {None, received.study_instance_uid}:
            return _PROCESSING_FAILURE
        return None


async def _store(
    request: Request, settings: Settings, store: Store, now: datetime, *, only_study: str | None
) -> Response:
    inbox = Inbox(store, settings.min_free_bytes, settings.image_digest)
    refused = refused_images_of(request.app)
    peer = request.client.host if request.client is not None else "unknown"
    origin = Origin(Channel.DICOMWEB, peer)
    transaction = _StoreTransaction(
        inbox,
        refused,
        root=service_root(request),
        origin=origin,
        only_study=only_study,
        now=now,
    )
    try:
        inbox.check_free_space()
        boundary = _boundary(request.headers.get("content-type", ""))
        with _temporary_file(settings.data_dir) as body:
            # Received completely before it is parsed: parsing a body as it arrives would occupy a
            # thread for each sender.
            async for chunk in request.stream():
                await run_in_threadpool(_append, body, chunk, inbox)
            async with _limiter_of(request.app):
                await run_in_threadpool(_store_parts, body, boundary, transaction)
    except Transient as error:
        await run_in_threadpool(refused.add_sender, origin, str(error))
        raise
    return transaction.response()


def _limiter_of(app: FastAPI) -> anyio.CapacityLimiter:
    limiter = app.state.stow_limiter
    assert isinstance(limiter, anyio.CapacityLimiter)  # noqa: S101 set by create_app
    return limiter


def _boundary(content_type: str) -> str:
    """Returns the multipart boundary, empty for a single instance; ends with 415 for others."""
    boundary = parse_boundary(content_type)
    single = content_type.split(";", maxsplit=1)[0].strip().lower() == "application/dicom"
    if not boundary and not single:
        message = 'send multipart/related; type="application/dicom" with its boundary'
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    return boundary


def _store_parts(body: IO[bytes], boundary: str, transaction: _StoreTransaction) -> None:
    """Stores each part of a request; none if the request cannot be read to its end."""
    try:
        for _ in _contents(body, boundary):
            pass
        for content in _contents(body, boundary):
            transaction.store_part(content)
    except (PartTooLarge, TooManyParts) as error:
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
    except Transient as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error


def _contents(body: IO[bytes], boundary: str) -> Iterator[bytes]:
    return iter_parts(_chunks(body), boundary) if boundary else _single_instance(body)


def _single_instance(body: IO[bytes]) -> Iterator[bytes]:
    """Yields the whole body as one instance."""
    if body.seek(0, os.SEEK_END) > MAX_PART_BYTES:
        raise PartTooLarge
    body.seek(0)
    yield body.read()


def _temporary_file(folder: Path) -> IO[bytes]:
    """Opens an unnamed file on the disk on which the instances are stored."""
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError as error:
        raise Transient(f"no room for the request: {error.strerror}") from error


def _append(body: IO[bytes], chunk: bytes, inbox: Inbox) -> None:
    """Writes a chunk; what the disk keeps free for results stays free."""
    inbox.check_free_space()
    try:
        body.write(chunk)
    except OSError as error:
        raise Transient(f"no room for the request: {error.strerror}") from error


def _chunks(body: IO[bytes]) -> Iterator[bytes]:
    body.seek(0)
    while chunk := body.read(_CHUNK_BYTES):
        yield chunk


def _sop_reference(received: ReceivedInstance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = received.sop_class_uid
    item.ReferencedSOPInstanceUID = received.sop_instance_uid
    return item


def _failure(reason: int) -> Dataset:
    item = Dataset()
    item.FailureReason = reason
    return item
