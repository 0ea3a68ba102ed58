"""Probes of HTTP services: QIDO-RS, STOW-RS and FHIR. Nothing is stored."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.errors import Transient
from node.http.credentials import NO_CREDENTIALS, Credentials
from node.http.limited_answers import json_content, request
from node.http.oauth import TokenNotIssued
from node.http.tls_connections import NO_FILES, request_failure
from node.probes.tcp import connected
from node.probes.tls import file_failure, no_tls
from node.tls.certificate_files import TlsFiles, file_mistakes

# A person waits for the answer.
TIMEOUT_S = 10.0
_DICOM_JSON = "application/dicom+json"
_BOUNDARY = "segnode-probe"
# The request holds no instance, so a server may call it wrong. It has then read it as STOW-RS.
_STOW_ANSWERS = {200, 202, 204, 400, 409, 411, 415, 422}
_REDIRECTS = {301, 302, 303, 307, 308}


@dataclass(frozen=True)
class HttpService:
    """A service by its root URL."""

    url: str
    credentials: Credentials = NO_CREDENTIALS
    files: TlsFiles = NO_FILES

    def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> requests.Response:
        """Returns the response, unless its status says that the service is not there.

        Raises:
            ConnectionFailure: no answer, or a status that says why the service cannot be used.
        """
        try:
            response = request(
                method,
                f"{self.url}{path}",
                data=body,
                headers=headers,
                credentials=self.credentials,
                timeout=TIMEOUT_S,
                allow_redirects=False,
                files=self.files,
            )
        except TokenNotIssued as failure:
            raise ConnectionFailure(
                ConnectionFault.UNAUTHORIZED, failure.text, failure.remedy
            ) from failure
        except Transient as error:
            text = f"the node has no credentials for {self.url}"
            raise ConnectionFailure(ConnectionFault.CONFIGURATION, text, str(error)) from error
        except OSError as error:  # every exception of requests is one
            raise self._no_answer(error) from error
        self._check_status(response)
        return response

    def _no_answer(self, error: OSError) -> ConnectionFailure:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if next(file_mistakes(self.files), None):
            return file_failure(self.url, self.files, error)
        if tls := request_failure(error, self.url, self.files):
            return no_tls(self.url, tls)
        try:
            with connected(host, port, TIMEOUT_S):
                pass
        except ConnectionFailure as failure:
            return failure
        if isinstance(error, requests.exceptions.Timeout):
            return ConnectionFailure(
                ConnectionFault.TIMEOUT,
                f"{self.url} does not answer within {TIMEOUT_S:g} s",
                "check that the server works",
            )
        return ConnectionFailure(
            ConnectionFault.CONTENT,
            f"{host}:{port} takes connections but does not answer as a web server",
            "check the port, and whether the address begins with https or http",
        )

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        answer = f"{self.url} answered {status} {response.reason}".rstrip()
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ConnectionFailure(
                ConnectionFault.UNAUTHORIZED,
                answer,
                self.credentials.remedy,
            )
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE}:
            raise ConnectionFailure(
                ConnectionFault.NOT_FOUND, answer, "check that the URL is the root of the service"
            )
        if status in _REDIRECTS:
            target = response.headers.get("Location", "")
            raise ConnectionFailure(
                ConnectionFault.HTTP_STATUS,
                answer,
                f"enter the address to which it redirects{f', {target}' if target else ''}",
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ConnectionFailure(
                ConnectionFault.HTTP_STATUS, answer, "look into the log of the server"
            )


def search(service: HttpService) -> None:
    """Searches for at most one study by QIDO-RS; reads the status and the type of the answer alone.

    Raises:
        ConnectionFailure: the search does not work.
    """
    response = service.request("GET", "/studies?limit=1", {"Accept": _DICOM_JSON})
    content_type = response.headers.get("Content-Type", "")
    if response.status_code == HTTPStatus.NO_CONTENT:
        return
    if response.status_code != HTTPStatus.OK or "json" not in content_type:
        raise ConnectionFailure(
            ConnectionFault.CONTENT,
            f"{service.url} answered a search with {response.status_code} {response.reason} and "
            f"{content_type or 'no content'}, not with DICOM JSON",
            "check that the URL is the root of its DICOMweb service",
        )


def store_nothing(service: HttpService) -> None:
    """Sends a STOW-RS request without an instance (PS3.18 10.5): nothing can be stored.

    Raises:
        ConnectionFailure: the server does not process STOW-RS requests of this node.
    """
    content_type = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    response = service.request(
        "POST",
        "/studies",
        {"Content-Type": content_type, "Accept": _DICOM_JSON},
        f"--{_BOUNDARY}--\r\n".encode(),
    )
    if response.status_code not in _STOW_ANSWERS:
        raise ConnectionFailure(
            ConnectionFault.HTTP_STATUS,
            f"{service.url} answered {response.status_code} {response.reason} to STOW-RS",
            "check that the URL is the root of its DICOMweb service",
        )


def read_capabilities(service: HttpService) -> None:
    """Reads the capability statement of a FHIR R4 server.

    Raises:
        ConnectionFailure: the server does not answer, or is no FHIR R4 server.
    """
    response = service.request("GET", "/metadata", {"Accept": "application/fhir+json"})
    statement = json_content(response)
    if not isinstance(statement, dict) or statement.get("resourceType") != "CapabilityStatement":
        raise ConnectionFailure(
            ConnectionFault.CONTENT,
            f"{service.url}/metadata is not a capability statement",
            "check that the URL is the root of its FHIR service",
        )
    version = str(statement.get("fhirVersion", ""))
    if not version.startswith("4.0"):
        raise ConnectionFailure(
            ConnectionFault.CONTENT,
            f"{service.url} has FHIR {version or 'of an unknown version'}, not R4",
            "enter the address of its R4 service",
        )
