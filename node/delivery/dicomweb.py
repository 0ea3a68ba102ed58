"""A destination by STOW-RS (PS3.18 10.5)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests

from node.delivery.destination import ResultFile
from node.delivery.response_status import (
    check_storage_status,
    receipt_with_warning,
    storage_errors_of,
)
from node.domain.delivery import Receipt
from node.domain.errors import NotAccepted, Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid
from node.http.credentials import NO_CREDENTIALS, Credentials
from node.http.limited_answers import json_content, request
from node.http.tls_connections import NO_FILES, no_answer
from node.tls.certificate_files import TlsFiles

# Seconds to connect, and seconds of silence while the server processes the request.
_TIMEOUT_SECONDS = (10.0, 120.0)
_FAILED_SOP_SEQUENCE = "00081198"
_FAILURE_REASON = "00081197"
_REFERENCED_SOP_SEQUENCE = "00081199"
_WARNING_REASON = "00081196"
_REFERENCED_SOP_INSTANCE = "00081155"
_OTHER_ERRORS_SEQUENCE = "0008119A"
# With these statuses the body gives the outcome of each instance (PS3.18 10.5.3.1).
_OUTCOME_IN_BODY = {200, 202, 409}
# Correcting the configuration or the server resolves these, so the delivery is retried.
_TRANSIENT_STATUSES = {401, 403, 404, 405, 407, 408, 425, 429}


@dataclass(frozen=True)
class DicomWeb:
    """A DICOMweb server; `url` is the root of the service, without a trailing slash.

    Results are sent as they are encoded, and once more uncompressed if the server refuses that.
    With `deflated`, segmentations of single bits are sent deflated.
    """

    name: str
    url: str
    credentials: Credentials = NO_CREDENTIALS
    deflated: bool = False
    files: TlsFiles = NO_FILES

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        """See `Destination.deliver`. Each instance has a request of its own."""
        # A server may limit the size of a request, and a repeated one would send all again.
        warnings = {self._store(instance) for instance in instances} - {""}
        return receipt_with_warning(
            self.name, f"STOW-RS to {self.url}", "; ".join(sorted(warnings))
        )

    def _store(self, instance: ResultFile) -> str:
        """Stores one instance; returns the server's warning, or an empty text.

        A server refuses a transfer syntax by 415 or by a failure reason, of which several are in
        use (PS3.18 I.2 has C122), so every refusal of a compressed file leads to an uncompressed
        one.
        """
        encodings = instance.encodings(deflated=self.deflated)
        file = next(encodings)
        while True:
            try:
                return self._store_file(file, instance.sop_instance_uid)
            except NotAccepted:
                raise
            except Rejected:
                uncompressed = next(encodings, None)
                if uncompressed is None:
                    raise
                file = uncompressed

    def _store_file(self, file: bytes, sop_instance_uid: Uid) -> str:
        response = self._post(file)
        if response.status_code not in _OUTCOME_IN_BODY:
            raise self._failure(response)
        with storage_errors_of(self.url):
            return _check_outcome(response, sop_instance_uid)

    def _post(self, file: bytes) -> requests.Response:
        boundary = uuid.uuid4().hex
        body = (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            + file
            + f"\r\n--{boundary}--\r\n".encode()
        )
        content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        try:
            return request(
                "POST",
                f"{self.url}/studies",
                data=body,
                headers={"Content-Type": content_type, "Accept": "application/dicom+json"},
                credentials=self.credentials,
                timeout=_TIMEOUT_SECONDS,
                files=self.files,
            )
        except OSError as error:  # every exception of requests is one
            raise no_answer(error, self.url, self.files) from error

    def _failure(self, response: requests.Response) -> Transient | Rejected:
        message = f"{self.url} answered {response.status_code} {response.reason}".rstrip()
        if response.status_code in {401, 403}:
            return Transient(f"{message}: {self.credentials.remedy}")
        if response.status_code in {404, 405}:
            return Transient(f"{message}: check that the URL is the root of its DICOMweb service")
        if response.status_code in _TRANSIENT_STATUSES or response.status_code >= 500:
            return Transient(message)
        return Rejected(RejectionReason.INVALID_INSTANCE, f"{message} and will not take the result")


def _check_outcome(response: requests.Response, instance: Uid) -> str:
    """Returns the warning that the body has for `instance`; empty where it has none.

    Raises:
        Transient: a retry may succeed, or the body does not say that the instance is stored.
        Rejected: the server refuses the instance for good.
    """
    body = _body(response)
    for failed in _items(body, _FAILED_SOP_SEQUENCE) + _items(body, _OTHER_ERRORS_SEQUENCE):
        if _value(failed, _REFERENCED_SOP_INSTANCE, str(instance)) == str(instance):
            check_storage_status(int(_value(failed, _FAILURE_REASON, 0x0110)))
    for stored in _items(body, _REFERENCED_SOP_SEQUENCE):
        if _value(stored, _REFERENCED_SOP_INSTANCE, "") == str(instance):
            return check_storage_status(int(_value(stored, _WARNING_REASON, 0x0000)))
    if response.status_code == 200 and not body:
        return ""  # some servers confirm with the status alone
    raise Transient(f"it answered {response.status_code} without saying that the result is stored")


def _body(response: requests.Response) -> dict[str, Any]:
    """Returns the DICOM JSON object in the response (PS3.18 F.2); empty where there is none."""
    body = json_content(response)
    if isinstance(body, list):
        body = body[0] if body else {}
    return body if isinstance(body, dict) else {}


def _items(body: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return list(body.get(tag, {}).get("Value", []))


def _value(item: dict[str, Any], tag: str, default: Any) -> Any:
    values = item.get(tag, {}).get("Value", [])
    return values[0] if values else default
