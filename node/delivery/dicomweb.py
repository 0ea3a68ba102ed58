"""A destination by STOW-RS (PS3.18 10.5)."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import requests

from node.delivery.destination import ResultFile
from node.delivery.response_status import told_as_warning
from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.identifiers import Uid

# Seconds to connect, and of silence while the server works on what it was sent.
_TIMEOUT_SECONDS = (10.0, 120.0)
_FAILED_SOP_SEQUENCE = "00081198"
_FAILURE_REASON = "00081197"
_REFERENCED_SOP_SEQUENCE = "00081199"
_WARNING_REASON = "00081196"
_REFERENCED_SOP_INSTANCE = "00081155"
_OTHER_ERRORS_SEQUENCE = "0008119A"
# Statuses with which the body says what became of each instance (PS3.18 10.5.3.1).
_TOLD_IN_BODY = {200, 202, 409}
# The configuration or the server can be put right, so the result waits for it.
_MAY_PASS = {401, 403, 404, 405, 407, 408, 425, 429}


@dataclass(frozen=True)
class DicomWeb:
    """A DICOMweb server; `url` is the root that `/studies` follows, without a closing slash."""

    name: str
    url: str
    username: str = ""
    password: str = field(default="", repr=False)

    def deliver(self, result: ResultFile) -> Receipt:
        """See `Destination.deliver`."""
        answer = self._post(result)
        if answer.status_code not in _TOLD_IN_BODY:
            raise self._failure(answer)
        try:
            warning = _told(answer, result.sop_instance_uid)
        except Transient as error:
            raise Transient(f"{self.url} did not take the result: {error}") from error
        except Rejected as error:
            raise Rejected(error.reason, f"{self.url} refused the result: {error}") from error
        return Receipt(self.name, f"STOW-RS to {self.url}" + (f": {warning}" if warning else ""))

    def _post(self, result: ResultFile) -> requests.Response:
        boundary = uuid.uuid4().hex
        try:
            content = result.path.read_bytes()
        except OSError as error:
            raise Transient(f"the result's file cannot be read: {error}") from error
        body = (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            + content
            + f"\r\n--{boundary}--\r\n".encode()
        )
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        try:
            return requests.post(
                f"{self.url}/studies",
                data=body,
                headers={"Content-Type": kind, "Accept": "application/dicom+json"},
                auth=(self.username, self.password) if self.username else None,
                timeout=_TIMEOUT_SECONDS,
            )
        except requests.RequestException as error:
            raise Transient(f"{self.url} does not answer: {error}") from error

    def _failure(self, answer: requests.Response) -> Transient | Rejected:
        told = f"{self.url} answered {answer.status_code} {answer.reason}".rstrip()
        if answer.status_code in {401, 403}:
            return Transient(f"{told}: check the user name and password for it")
        if answer.status_code in {404, 405}:
            return Transient(f"{told}: check that the URL is the root of its DICOMweb service")
        if answer.status_code in _MAY_PASS or answer.status_code >= 500:
            return Transient(told)
        return Rejected(RejectionReason.INVALID_INSTANCE, f"{told} and will not take the result")


def _told(answer: requests.Response, instance: Uid) -> str:
    """The warning that the body has for `instance`; empty when it is stored without one.

    Raises:
        Transient: the failure in the body may pass, or the body does not say that it is stored.
        Rejected: the failure stays.
    """
    body = _body(answer)
    for failed in _items(body, _FAILED_SOP_SEQUENCE) + _items(body, _OTHER_ERRORS_SEQUENCE):
        if _value(failed, _REFERENCED_SOP_INSTANCE, str(instance)) == str(instance):
            told_as_warning(int(_value(failed, _FAILURE_REASON, 0x0110)))
    for stored in _items(body, _REFERENCED_SOP_SEQUENCE):
        if _value(stored, _REFERENCED_SOP_INSTANCE, "") == str(instance):
            return told_as_warning(int(_value(stored, _WARNING_REASON, 0x0000)))
    if answer.status_code == 200 and not body:
        return ""  # some servers confirm with the status alone
    raise Transient(f"it answered {answer.status_code} without saying that the result is stored")


def _body(answer: requests.Response) -> dict[str, Any]:
    """The DICOM JSON object in the answer (PS3.18 F.2); empty when there is none."""
    try:
        body = answer.json()
    except requests.JSONDecodeError:
        return {}
    if isinstance(body, list):
        body = body[0] if body else {}
    return body if isinstance(body, dict) else {}


def _items(body: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    return list(body.get(tag, {}).get("Value", []))


def _value(item: dict[str, Any], tag: str, default: Any) -> Any:
    values = item.get(tag, {}).get("Value", [])
    return values[0] if values else default
