"""A destination that is a FHIR R4 server (http://hl7.org/fhir/R4/http.html#transaction)."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests

from node.delivery.destination import ResultFile
from node.delivery.his.fhir_bundle import transaction
from node.delivery.his.receiver_text import without_personal_data
from node.delivery.his.report_file import read_report
from node.domain.delivery import Receipt
from node.domain.errors import Rejected, RejectionReason, Transient
from node.domain.report import Report
from node.http.credentials import NO_CREDENTIALS, Credentials
from node.http.limited_answers import json_content, request
from node.http.tls_connections import NO_TLS, request_failure
from node.settings import FhirDestination

_CONNECT_SECONDS = 10.0
_MEDIA_TYPE = "application/fhir+json"
_NOT_FOUND = {404, 405, 410}
# A later attempt may succeed: a timeout, another transaction at the same time, too many requests.
_TRANSIENT_STATUSES = {407, 408, 409, 423, 425, 429}


@dataclass(frozen=True)
class Fhir:
    """A FHIR server that creates the resources of a report in one transaction.

    Every attempt at a delivery sends the same bundle, of which the server creates what it lacks.
    """

    name: str
    options: FhirDestination
    credentials: Credentials = NO_CREDENTIALS

    def deliver(self, instances: Sequence[ResultFile]) -> Receipt:
        """See `Destination.deliver`; the only instance is the report."""
        (file,) = instances
        return self.deliver_report(read_report(file.path))

    def deliver_report(self, report: Report) -> Receipt:
        """Sends the report and returns what the server did.

        Raises:
            Transient: the report did not arrive, and may later; the message says what to check.
            Rejected: the server refuses the report for good; the message gives its reason.
        """
        bundle = transaction(report, self.options)
        response = self._post(bundle)
        if response.status_code not in {200, 201}:
            raise self._failure(response, report)
        outcome = self._outcome(response, len(json.loads(bundle)["entry"]))
        return Receipt(self.name, f"FHIR transaction to {self._url}: {outcome}")

    @property
    def _url(self) -> str:
        return self.options.url.rstrip("/")

    def _post(self, bundle: str) -> requests.Response:
        headers = {"Content-Type": _MEDIA_TYPE, "Accept": _MEDIA_TYPE, "Prefer": "return=minimal"}
        try:
            return request(
                "POST",
                self._url,
                data=bundle.encode(),
                headers=headers,
                timeout=(_CONNECT_SECONDS, self.options.timeout_seconds),
                allow_redirects=False,  # a redirected POST becomes a GET
                files=self.options.tls_files,
                credentials=self.credentials,
            )
        except OSError as error:  # every exception of requests is one, and so is a missing file
            if failure := request_failure(error, self._url, self.options.tls_files):
                raise Transient(f"{self._url} and the node {NO_TLS}: {failure}") from error
            raise Transient(
                f"{self._url} does not answer: {error}; check the address, and that the server runs"
            ) from error

    def _failure(self, response: requests.Response, report: Report) -> Transient | Rejected:
        status = response.status_code
        issues = without_personal_data(_issues(response), report)
        answer = f"{self._url} answered {status} {response.reason}".rstrip()
        message = f"{answer}: {issues}" if issues else answer
        if status in {401, 403}:
            return Transient(f"{message}; {self.credentials.remedy}")
        if status in _NOT_FOUND or status < 400:
            advice = "check that url is the root of its FHIR service"
            if self.options.patient_reference == "search":
                advice = f"{advice}, and that it knows the patient"
            return Transient(f"{message}; {advice}")
        if status in _TRANSIENT_STATUSES or status >= 500:
            return Transient(message)
        return Rejected(RejectionReason.INVALID_INSTANCE, f"{message}; it does not take the report")

    def _outcome(self, response: requests.Response, sent: int) -> str:
        """Returns how many of the `sent` resources the server created and how many it had.

        Raises:
            Transient: the response does not say that every resource is stored.
        """
        body = _json_object(response)
        entries = body.get("entry")
        statuses = Counter(
            str(entry.get("response", {}).get("status", ""))[:3]
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict)
        )
        is_stored = body.get("type") == "transaction-response" and statuses.keys() <= {"200", "201"}
        if not is_stored or statuses.total() != sent:
            raise Transient(
                f"{self._url} answered {response.status_code} without saying that the report is "
                "stored: check that url is the root of its FHIR service"
            )
        return f"{statuses['201']} resources created, {statuses['200']} already there"


def _json_object(response: requests.Response) -> dict[str, Any]:
    """Returns the body; empty where it is not a JSON object."""
    body = json_content(response)
    return body if isinstance(body, dict) else {}


def _issues(response: requests.Response) -> str:
    """Returns the texts of an OperationOutcome's errors; empty where the body is none."""
    body = _json_object(response)
    issues = body.get("issue") if body.get("resourceType") == "OperationOutcome" else None
    texts = []
    for issue in issues if isinstance(issues, list) else []:
        if not isinstance(issue, dict) or issue.get("severity") in {"warning", "information"}:
            continue
        details = issue.get("details")
        text = details.get("text") if isinstance(details, dict) else None
        texts.append(str(issue.get("diagnostics") or text or issue.get("code") or ""))
    return "; ".join(dict.fromkeys(filter(None, texts)))
