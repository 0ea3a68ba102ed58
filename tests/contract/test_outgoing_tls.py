"""Connections that the node opens by TLS, DICOM aside, to servers that demand its certificate.

Each fault has its diagnosis, in deliveries and in probes, and the server gets nothing.
"""

import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from node.alerts.mail import MailChannel
from node.alerts.message import content_of_test
from node.alerts.webhook import WebhookChannel, address_of
from node.delivery.destination import ResultFile
from node.delivery.dicomweb import DicomWeb
from node.delivery.his.fhir import Fhir
from node.delivery.his.hl7 import Hl7
from node.dicom.query import QueryLevel
from node.domain.errors import NodeError
from node.domain.identifiers import Uid
from node.http.credentials import NO_CREDENTIALS
from node.intake.qido_search import searching
from node.intake.wado_retrieval import DicomWebSource, retrieve_series
from node.probes import http, mllp
from node.settings import FhirDestination, Hl7Destination, MailOptions, WebhookOptions
from node.tls.certificate_files import TlsFiles
from node.worklists.ups_client import UpsServer
from tests.support.certificate_authority import CertificateAuthority, Issued
from tests.support.factories import NOON
from tests.support.peers.mllp_receiver import Hl7Server
from tests.support.reports import report_file
from tests.support.servers.answering_server import AnsweringServer
from tests.support.servers.mail_server import PASSWORD, mail_server

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """Two authorities that do not know each other, and what they have issued."""

    authority: CertificateAuthority
    foreign: CertificateAuthority
    server: Issued
    expired: Issued
    misnamed: Issued
    client: Issued
    unknown_client: Issued


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    authority = CertificateAuthority.create(folder / "hospital", "hospital")
    foreign = CertificateAuthority.create(folder / "foreign", "foreign")
    return Certificates(
        authority,
        foreign,
        server=authority.issue("server"),
        expired=authority.issue("expired", valid_from=-2 * _DAY, valid_for=_DAY),
        misnamed=authority.issue("misnamed", "other.example"),
        client=authority.issue("client"),
        unknown_client=foreign.issue("unknown"),
    )


@dataclass(frozen=True)
class Case:
    """What the server shows, what the node has, and the words of the diagnosis."""

    server: Callable[[Certificates], Issued]
    files: Callable[[Certificates], TlsFiles]
    diagnosis: str

    def diagnoses(self, *, is_silent: bool) -> tuple[str, ...]:
        """Returns the words of the diagnosis; those for a server that closes without a reason."""
        if is_silent and self.diagnosis in _OF_SERVER:
            return ("closed the connection", "certificate_file")
        return (self.diagnosis,)


# What the server alone can know. Those made by asyncio close the connection without saying it.
_OF_SERVER = (
    "it demands a certificate, and the node shows none",
    "it does not trust the authority of the node's certificate",
)


def _files(issued: Issued, authority: CertificateAuthority) -> TlsFiles:
    return TlsFiles(authority.file, issued.certificate, issued.key)


_FAULTS: Mapping[str, Case] = {
    "wrong authority": Case(
        lambda c: c.server,
        lambda c: _files(c.client, c.foreign),
        "the node does not trust the authority of its certificate",
    ),
    "authorities of the system": Case(
        lambda c: c.server,
        lambda c: TlsFiles(None, c.client.certificate, c.client.key),
        "the node does not trust the authority of its certificate",
    ),
    "expired": Case(
        lambda c: c.expired,
        lambda c: _files(c.client, c.authority),
        "its certificate has expired",
    ),
    "wrong name": Case(
        lambda c: c.misnamed,
        lambda c: _files(c.client, c.authority),
        "its certificate is for another name",
    ),
    "no client certificate": Case(
        lambda c: c.server,
        lambda c: TlsFiles(c.authority.file),
        "it demands a certificate, and the node shows none",
    ),
    "unknown client certificate": Case(
        lambda c: c.server,
        lambda c: _files(c.unknown_client, c.authority),
        "it does not trust the authority of the node's certificate",
    ),
    "key of another certificate": Case(
        lambda c: c.server,
        lambda c: TlsFiles(c.authority.file, c.client.certificate, c.server.key),
        "does not belong to the certificate",
    ),
    "missing file": Case(
        lambda c: c.server,
        lambda c: TlsFiles(Path("/nowhere/ca.pem")),
        "there is no file /nowhere/ca.pem",
    ),
}
Connect = Callable[[int, TlsFiles, Path], object]


def _options(files: TlsFiles) -> dict[str, Any]:
    return {
        "ca_file": files.ca,
        "certificate_file": files.certificate,
        "key_file": files.key,
    }


def _url(port: int) -> str:
    return f"https://127.0.0.1:{port}"


def _stow(port: int, files: TlsFiles, _folder: Path) -> None:
    image = Path(str(get_testdata_file("CT_small.dcm")))
    result = ResultFile(image, Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))
    DicomWeb("pacs", _url(port), files=files).deliver([result])


def _wado(port: int, files: TlsFiles, _folder: Path) -> None:
    source = DicomWebSource("pacs", _url(port), files=files)
    retrieve_series(source, Uid("1.2"), Uid("1.2.3"), lambda _: None)


def _qido(port: int, files: TlsFiles, _folder: Path) -> None:
    with searching(DicomWebSource("pacs", _url(port), files=files)) as find:
        find(QueryLevel.STUDY, {"PatientID": "4711"}, 10)


def _ups(port: int, files: TlsFiles, _folder: Path) -> None:
    UpsServer(_url(port), files=files).search({}, ())


def _fhir(port: int, files: TlsFiles, folder: Path) -> None:
    options = FhirDestination.model_validate({"kind": "fhir", "url": _url(port), **_options(files)})
    file = ResultFile(report_file(folder), Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))
    Fhir("ehr", options).deliver([file])


def _webhook(port: int, files: TlsFiles, _folder: Path) -> None:
    options = WebhookOptions.model_validate({"url": _url(port), **_options(files)})
    WebhookChannel(options, address_of(options), NO_CREDENTIALS).send(content_of_test("SITE", NOON))


def _http_probe(port: int, files: TlsFiles, _folder: Path) -> None:
    http.search(http.HttpService(_url(port), files=files))


def _hl7_options(port: int, files: TlsFiles) -> Hl7Destination:
    return Hl7Destination.model_validate(
        {"kind": "hl7", "host": "127.0.0.1", "port": port, "tls": True, **_options(files)}
    )


def _hl7(port: int, files: TlsFiles, folder: Path) -> None:
    file = ResultFile(report_file(folder), Uid("1.2"), Uid("1.2.3"), Uid("1.2.3.4"))
    Hl7("his", _hl7_options(port, files)).deliver([file])


def _hl7_probe(port: int, files: TlsFiles, _folder: Path) -> None:
    mllp.connect(_hl7_options(port, files))


def _mail(port: int, files: TlsFiles, _folder: Path) -> None:
    values = {
        "host": "127.0.0.1",
        "port": port,
        "sender": "segnode@hospital.example",
        "recipients": ["pacs@hospital.example"],
        "security": "tls",
        "username": "segnode",
        **_options(files),
    }
    MailChannel(MailOptions.model_validate(values), lambda: PASSWORD).send(
        content_of_test("SITE", NOON)
    )


_BY_HTTP: Mapping[str, Connect] = {
    "STOW-RS": _stow,
    "WADO-RS": _wado,
    "QIDO-RS": _qido,
    "UPS-RS": _ups,
    "FHIR": _fhir,
    "webhook": _webhook,
    "probe of HTTP": _http_probe,
}
_BY_MLLP: Mapping[str, Connect] = {"HL7": _hl7, "probe of MLLP": _hl7_probe}


def _context(issued: Issued, certificates: Certificates) -> ssl.SSLContext:
    """Returns the TLS settings of a server that demands a certificate of the hospital."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.authority.file)
    return context


@pytest.mark.parametrize("client", _BY_HTTP)
def test_a_server_that_trusts_the_certificate_of_the_node_gets_the_request(
    client: str, certificates: Certificates, tmp_path: Path
) -> None:
    context = _context(certificates.server, certificates)
    with AnsweringServer(tls=context, status=503) as server:
        files = _files(certificates.client, certificates.authority)
        with pytest.raises(NodeError, match="503"):
            _BY_HTTP[client](server.port, files, tmp_path)
        assert len(server.requests) == 1


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("client", _BY_HTTP)
def test_a_request_without_tls_names_the_fault_and_sends_nothing(
    client: str, fault: str, certificates: Certificates, tmp_path: Path
) -> None:
    case = _FAULTS[fault]
    with AnsweringServer(tls=_context(case.server(certificates), certificates)) as server:
        with pytest.raises(NodeError) as caught:
            _BY_HTTP[client](server.port, case.files(certificates), tmp_path)
        assert server.requests == []
    assert case.diagnosis in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("client", _BY_HTTP)
def test_a_server_without_tls_is_named(
    client: str, certificates: Certificates, tmp_path: Path
) -> None:
    with AnsweringServer() as server:
        with pytest.raises(NodeError, match="it does not speak TLS on this port"):
            _BY_HTTP[client](server.port, TlsFiles(certificates.authority.file), tmp_path)
        assert server.requests == []


@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize("client", _BY_MLLP)
def test_an_mllp_connection_without_tls_names_the_fault(
    client: str, fault: str, certificates: Certificates, tmp_path: Path
) -> None:
    case = _FAULTS[fault]
    with Hl7Server(tls=_context(case.server(certificates), certificates)) as server:
        with pytest.raises(NodeError) as caught:
            _BY_MLLP[client](server.port, case.files(certificates), tmp_path)
        assert server.messages == []
    for words in case.diagnoses(is_silent=True):
        assert words in str(caught.value)


# aiosmtpd warns unless the login needs STARTTLS, which a connection by TLS does not have.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("fault", ["", *_FAULTS])
def test_a_mail_server_gets_a_message_with_both_certificates_alone(
    fault: str, certificates: Certificates, tmp_path: Path
) -> None:
    files = _files(certificates.client, certificates.authority)
    shown = certificates.server
    if fault:
        files, shown = _FAULTS[fault].files(certificates), _FAULTS[fault].server(certificates)
    with ExitStack() as stack:
        server = stack.enter_context(mail_server(tls=_context(shown, certificates)))
        if fault:
            caught = stack.enter_context(pytest.raises(NodeError))
        _mail(server.port, files, tmp_path)
    assert len(server.messages) == (0 if fault else 1)
    if fault:
        for words in _FAULTS[fault].diagnoses(is_silent=True):
            assert words in str(caught.value)
