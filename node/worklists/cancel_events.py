"""Receives requests to cancel work items by WebSocket (PS3.18 8.10.4, 8.10.5 and 11.13)."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from node.domain.errors import Transient
from node.domain.retry_policy import NO_SPREAD_JITTER, RetryPolicy
from node.domain.worklists.codes import Code
from node.http.credentials import NO_CREDENTIALS, Credentials
from node.http.limited_answers import parsed_json
from node.http.tls_connections import NO_FILES
from node.store import Store
from node.tls.certificate_files import TlsFiles
from node.tls.contexts import client_context
from node.tls.failures import tls_failure

_LOG = structlog.get_logger()
_OPEN_TIMEOUT_SECONDS = 10.0
# An event names one work item and has some kilobytes.
_MAX_EVENT_BYTES = 1 << 20
# Event Type ID (PS3.4 Table CC.2.4-1).
_UPS_CANCEL_REQUESTED = 2
_EVENT_TYPE_ID, _AFFECTED_SOP_INSTANCE_UID = "00001002", "00001000"
_DISCONTINUATION_REASON = "0074100E"


@dataclass
class CancelEvents:
    """A connection over which a server sends the events of the node's work items.

    `events_url` is the root of the service. The connection is opened again when it is lost; what
    the server sends in the meantime is lost, unless it keeps events. What exceeds
    `max_events_per_poll` waits for the next poll, so that a server that never pauses holds up
    nothing else.
    """

    worklist: str
    events_url: str
    ae_title: str
    store: Store
    now: Callable[[], datetime]
    policy: RetryPolicy
    credentials: Credentials = NO_CREDENTIALS
    files: TlsFiles = NO_FILES
    clock: Callable[[], float] = time.monotonic
    max_events_per_poll: int = 1000
    _failures: int = field(default=0)
    _not_before: float = field(default=0.0)
    _open: ExitStack = field(default_factory=ExitStack)
    _connection: ClientConnection | None = field(default=None)

    def poll(self) -> None:
        """Opens the connection if it is not open; records the requests that have arrived."""
        if self._connection is None and self.clock() >= self._not_before:
            self._connect()
        for _ in range(self.max_events_per_poll):
            if self._connection is None:
                return
            try:
                message = self._connection.recv(timeout=0)
            except TimeoutError:
                return
            except ConnectionClosed as error:
                self._lost(str(error))
                return
            self._handle(message)

    def close(self) -> None:
        """Closes the connection."""
        self._connection = None
        self._open.close()

    def _connect(self) -> None:
        url = f"{self.events_url}/subscribers/{quote(self.ae_title, safe='')}"
        value = ""
        try:
            value = self.credentials.authorization()
            self._connection = self._open.enter_context(
                connect(
                    url,
                    additional_headers={"Authorization": value} if value else None,
                    open_timeout=_OPEN_TIMEOUT_SECONDS,
                    max_size=_MAX_EVENT_BYTES,
                    ssl=client_context(self.files) if url.startswith("wss:") else None,
                )
            )
        except (OSError, ValueError, WebSocketException, Transient) as error:
            self._lost(f"{url} cannot be opened: {self._reason(error, value)}")
            return
        if self._failures:
            _LOG.info("worklist.events_again", worklist=self.worklist)
        self._failures = 0

    def _reason(self, error: Exception, authorization: str) -> str:
        """Returns why the connection cannot be opened; the next one uses other credentials."""
        status = error.response.status_code if isinstance(error, InvalidStatus) else None
        if status == HTTPStatus.UNAUTHORIZED:
            self.credentials.renew(authorization)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return f"{error}: {self.credentials.remedy}"
        return str(tls_failure(error, self.files) or error)

    def _lost(self, error: str) -> None:
        self.close()
        if self._failures == 0:
            _LOG.warning("worklist.events_failed", worklist=self.worklist, error=error)
        self._failures += 1
        self._not_before = self.clock() + self.policy.delay_s(self._failures, NO_SPREAD_JITTER)

    def _handle(self, message: str | bytes) -> None:
        """Records a request to cancel; ignores every other event, and what is no event."""
        try:
            event = parsed_json(message)
        except ValueError:
            return
        if _first(event, _EVENT_TYPE_ID) != _UPS_CANCEL_REQUESTED:
            return
        uid = str(_first(event, _AFFECTED_SOP_INSTANCE_UID))
        code = _code(_first(event, _DISCONTINUATION_REASON))
        if self.store.request_cancellation(self.worklist, uid, code, self.now()):
            _LOG.info("work_item.cancel_requested", worklist=self.worklist, work_item=uid)


def _first(dataset: Any, tag: str) -> Any:
    """Returns the first value of an element in DICOM JSON; None where there is none."""
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _code(item: Any) -> Code | None:
    value, scheme, meaning = (_first(item, tag) for tag in ("00080100", "00080102", "00080104"))
    if not value or not scheme:
        return None
    return Code(str(value), str(scheme), str(meaning or value))
