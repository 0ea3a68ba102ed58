"""User agent of the Worklist Service: the transactions of PS3.18 11 that a performer needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests
from pydicom.dataset import Dataset

from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.http.credentials import NO_CREDENTIALS, Credentials
from node.http.limited_answers import json_content
from node.http.limited_answers import request as limited_request
from node.http.tls_connections import NO_FILES, NO_TLS, request_failure
from node.tls.certificate_files import TlsFiles
from node.worklists.scheduled import READ_TAGS

# Connect timeout and read timeout.
_TIMEOUT_SECONDS = (10.0, 60.0)
_JSON = "application/dicom+json"
# With these statuses the server refuses the request itself (PS3.18 11.6.3 and 11.7.3).
_REFUSED = {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT}
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class RequestRefused(Transient):
    """The server refuses the request in the current state of the work item."""


class WorkItemGone(Rejected):
    """The server has deleted the work item."""

    def __init__(self, message: str) -> None:
        super().__init__(RejectionReason.INVALID_INSTANCE, message)


@dataclass(frozen=True)
class UpsServer:
    """A UPS-RS origin server; `url` is the part before `/workitems`, without a trailing slash.

    Data sets are exchanged as DICOM JSON (PS3.18 F). Every method raises Transient if the server
    does not answer or cannot process the request now.
    """

    url: str
    credentials: Credentials = NO_CREDENTIALS
    files: TlsFiles = NO_FILES

    def search(self, parameters: Mapping[str, str], include: tuple[str, ...]) -> list[Dataset]:
        """Returns the work items that match `parameters` (PS3.18 11.9).

        Of each, it has those elements that the node reads.
        """
        query = [*parameters.items(), *(("includefield", word) for word in include)]
        response = self._request("GET", "/workitems", query=query)
        if response.status_code == HTTPStatus.NO_CONTENT:
            return []
        items = json_content(response)
        if not isinstance(items, list):
            raise Transient(f"{self.url} answered the search with no list of work items")
        return [self._dataset(item) for item in items]

    def retrieve(self, uid: Uid) -> Dataset:
        """Returns the contents of a work item (PS3.18 11.5): what the node reads.

        Raises:
            WorkItemGone: the server has deleted it.
        """
        found = json_content(self._request("GET", f"/workitems/{uid}"))
        if isinstance(found, list) and len(found) == 1:
            (found,) = found
        return self._dataset(found)

    def update(self, uid: Uid, transaction_uid: Uid, changes: Dataset) -> None:
        """Sets attributes of a work item that the node owns (PS3.18 11.6).

        Raises:
            RequestRefused: the node does not own it, or the server does not take the values.
            WorkItemGone: the server has deleted it.
        """
        # PS3.18 11.6.1.2 wants the Transaction UID in the query, PS3.4 CC.2.6.2 in the data set.
        body = changes.to_json_dict() | _ui("00081195", transaction_uid)
        query = [("transaction-uid", str(transaction_uid))]
        self._request("POST", f"/workitems/{uid}", query=query, body=body)

    def change_state(self, uid: Uid, transaction_uid: Uid, state: str) -> None:
        """Changes the state to IN PROGRESS, COMPLETED or CANCELED (PS3.18 11.7).

        A work item that is COMPLETED or CANCELED already stays so, without an error.

        Raises:
            RequestRefused: the node does not own it, or it lacks what that state requires.
            WorkItemGone: the server has deleted it.
        """
        body = {"00741000": {"vr": "CS", "Value": [state]}} | _ui("00081195", transaction_uid)
        self._request("PUT", f"/workitems/{uid}/state", body=body)

    def subscribe(self, uid: Uid, ae_title: str) -> None:
        """Asks for events about a work item, such as requests to cancel it (PS3.18 11.10)."""
        self._request("POST", f"/workitems/{uid}/subscribers/{ae_title}")

    def unsubscribe(self, uid: Uid, ae_title: str) -> None:
        """Ends the subscription of a work item (PS3.18 11.11)."""
        self._request("DELETE", f"/workitems/{uid}/subscribers/{ae_title}")

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: dict[str, Any] | None = None,
    ) -> requests.Response:
        headers = {"Accept": _JSON} if body is None else {"Accept": _JSON, "Content-Type": _JSON}
        try:
            response = limited_request(
                method,
                f"{self.url}{path}",
                params=query,
                # An array, as PS3.18 F.2.1 has it for results; servers differ in taking an object.
                data=None if body is None else json.dumps([body]),
                headers=headers,
                credentials=self.credentials,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,  # a redirected POST becomes a GET
                files=self.files,
            )
        except OSError as error:  # every exception of requests is one, and so is a missing file
            if failure := request_failure(error, self.url, self.files):
                raise Transient(f"{self.url} and the node {NO_TLS}: {failure}") from error
            # The text of the error may be long, and differs from attempt to attempt.
            raise Transient(f"{self.url} does not answer ({type(error).__name__})") from error
        if response.ok and response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return response
        raise self._failure(f"{method} {path}", response)

    def _failure(self, request: str, response: requests.Response) -> Transient | Rejected:
        answer = f"{self.url} answered {response.status_code} {response.reason} to {request}"
        # PS3.18 11.7.3.2: the Warning header says what is wrong.
        if warning := response.headers.get("Warning", ""):
            answer = f"{answer}: {warning[:200]}"
        status = response.status_code
        if status in _REFUSED:
            return RequestRefused(answer)
        if status == HTTPStatus.GONE:
            return WorkItemGone(f"{answer}: the work item is deleted")
        if status in _DENIED:
            return Transient(f"{answer}: {self.credentials.remedy}")
        if status == HTTPStatus.NOT_FOUND:
            return Transient(f"{answer}: check that url is the part before /workitems")
        return Transient(answer)

    def _dataset(self, item: Any) -> Dataset:
        """Returns the elements of a work item that the node reads."""
        try:
            return Dataset.from_json({tag: e for tag, e in item.items() if tag in READ_TAGS})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Transient(f"{self.url} answered with no DICOM JSON") from error


def _ui(tag: str, uid: Uid) -> dict[str, Any]:
    return {tag: {"vr": "UI", "Value": [str(uid)]}}
