"""Probes name what is wrong with a connection: against Orthanc, DCMTK and servers of the tests."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import Modality, OrthancPacs, orthanc_missing
from node.dimse import scu
from node.domain.connections.failure import ConnectionFault
from node.domain.connections.probe import ConnectionName, ConnectionTable, ProbeReport
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle
from node.probes import dicom, http
from node.probes.site import connections_of, probe
from node.settings import Settings, load_settings
from tests.support.certificates import Certificate
from tests.support.peers.mllp_receiver import Hl7Server
from tests.support.servers.answering_server import AnsweringServer
from tests.support.waiting import until

CAPABILITIES = b'{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here takes long to answer, unless it never does."""
    monkeypatch.setattr(dicom, "TIMEOUT_S", 2.0)
    monkeypatch.setattr(http, "TIMEOUT_S", 2.0)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancPacs]:
    """An Orthanc that knows KNOWN alone."""
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    orthanc = OrthancPacs(
        tmp_path_factory.mktemp("orthanc"),
        modalities={"node": Modality("KNOWN", "127.0.0.1", 11112)},
        configuration={"DicomAlwaysAllowEcho": False},
    )
    orthanc.start()
    yield orthanc
    orthanc.kill()


def site(
    tmp_path: Path, text: str, *, own: str = "KNOWN", title: str = "ORTHANC", port: int = 104
) -> Settings:
    """The settings of a node with a peer `pacs` on loopback."""
    file = tmp_path / "segnode.toml"
    file.write_text(
        f'data_dir = "data"\n[listener]\nae_title = "{own}"\n'
        f'[peers.pacs]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n{text}',
        encoding="utf-8",
    )
    return load_settings(file)


def destination(text: str) -> str:
    return f"[destinations.pacs]\n{text}\n"


def outcome(settings: Settings, table: str = "destinations", name: str = "pacs") -> ProbeReport:
    return probe(settings, ConnectionName(ConnectionTable(table), name))


def fault_of(report: ProbeReport) -> ConnectionFault | None:
    """The fault of the last step; checks that it has a remedy."""
    last = report.steps[-1]
    assert bool(last.fault) == bool(last.remedy) != report.passed, report
    return last.fault


def test_a_working_pacs_passes_every_step(pacs: OrthancPacs, tmp_path: Path) -> None:
    settings = site(
        tmp_path,
        destination(
            'kind = "cstore"\npeer = "pacs"\ncommitment = "pacs"\nobjects = ["seg", "sr", "pdf"]'
        ),
        port=pacs.dicom_port,
    )
    report = outcome(settings)
    assert [step.name for step in report.steps] == ["C-ECHO", "Objects", "Storage commitment"]
    assert report.passed, report
    assert "Comprehensive 3D SR Storage" in report.steps[1].text
    assert pacs.get("/statistics")["CountInstances"] == 0


def test_a_wrong_called_ae_title_is_distinguished(pacs: OrthancPacs, tmp_path: Path) -> None:
    report = outcome(site(tmp_path, "", title="WRONG", port=pacs.dicom_port), "peers")
    assert fault_of(report) is ConnectionFault.CALLED_AE_TITLE
    assert "its AE title is not WRONG" in report.steps[0].text


def test_an_unknown_calling_ae_title_is_distinguished(pacs: OrthancPacs, tmp_path: Path) -> None:
    report = outcome(site(tmp_path, "", own="STRANGER", port=pacs.dicom_port), "peers")
    assert fault_of(report) is ConnectionFault.CALLING_AE_TITLE
    assert report.steps[0].remedy == "add STRANGER there, with the address of this machine."


def test_a_peer_to_retrieve_from_must_accept_queries(pacs: OrthancPacs, tmp_path: Path) -> None:
    report = outcome(site(tmp_path, 'retrieve = "get"\n', port=pacs.dicom_port), "peers")
    assert report.passed
    assert report.steps[1].text == "It accepts queries and C-GET from KNOWN."


def test_stow_rs_is_tried_without_storing_anything(pacs: OrthancPacs, tmp_path: Path) -> None:
    text = f'kind = "dicomweb"\nurl = "{pacs.dicomweb_url}"'
    sources = f'[sources.pacs]\nurl = "{pacs.dicomweb_url}/"\n'
    settings = site(tmp_path, destination(text) + sources)
    assert outcome(settings).passed
    assert outcome(settings, "sources").passed
    assert pacs.get("/statistics")["CountInstances"] == 0


def test_a_wrong_dicomweb_root_is_not_found(pacs: OrthancPacs, tmp_path: Path) -> None:
    settings = site(
        tmp_path,
        destination(f'kind = "dicomweb"\nurl = "{pacs.url}/wrong"')
        + f'[sources.pacs]\nurl = "{pacs.url}/wrong"\n',
    )
    assert fault_of(outcome(settings)) is ConnectionFault.NOT_FOUND
    assert fault_of(outcome(settings, "sources")) is ConnectionFault.NOT_FOUND


@contextmanager
def storescp(*options: str) -> Iterator[int]:
    """DCMTK's storescp on a free port."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp is not installed: apt-get install dcmtk")
    (port,) = free_ports(1)
    server = subprocess.Popen([program, *options, "--ignore", str(port)])
    try:
        until(lambda: listens(port), 20, "storescp to start")
        yield port
    finally:
        server.kill()
        server.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_peer_without_commitment_is_told_apart_from_one_that_stores(tmp_path: Path) -> None:
    text = destination('kind = "cstore"\npeer = "pacs"\ncommitment = "pacs"')
    with storescp() as port:
        report = outcome(site(tmp_path, text, port=port))
    assert [step.passed for step in report.steps] == [True, True, False]
    assert fault_of(report) is ConnectionFault.SOP_CLASS
    assert "offers no storage commitment" in report.steps[2].text


def test_a_label_map_needs_a_fallback_where_the_peer_does_not_know_it(tmp_path: Path) -> None:
    text = destination('kind = "cstore"\npeer = "pacs"\nsegmentation = "labelmap"')
    with storescp() as port:
        report = outcome(site(tmp_path, text, port=port))
        assert fault_of(report) is ConnectionFault.SOP_CLASS
        assert "does not accept Label Map Segmentation Storage" in report.steps[1].text
        replaced = outcome(site(tmp_path, f'{text}fallback = ["capture"]\n', port=port))
    assert replaced.passed
    assert replaced.steps[1].text.endswith("gets Secondary Capture Image Storage instead.")


def test_a_rejection_without_a_reason_asks_for_both_ae_titles(tmp_path: Path) -> None:
    with storescp("--refuse") as port:
        report = outcome(site(tmp_path, "", port=port), "peers")
    assert fault_of(report) is ConnectionFault.ASSOCIATION_REJECTED
    assert "both AE titles" in report.steps[0].remedy


def test_a_port_without_a_server_refuses(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f'url = "http://127.0.0.1:{port}"'
    settings = site(
        tmp_path,
        f'[destinations.web]\nkind = "dicomweb"\n{url}\n[destinations.ehr]\nkind = "fhir"\n{url}\n'
        f"[sources.web]\n{url}\n"
        f'[destinations.his]\nkind = "hl7"\nhost = "127.0.0.1"\nport = {port}\n',
        port=port,
    )
    for one in connections_of(settings):
        assert fault_of(probe(settings, one)) is ConnectionFault.CONNECTION_REFUSED, one


def test_an_unknown_name_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    settings = site(tmp_path, '[sources.web]\nurl = "http://pacs.invalid"\n')
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for table, name in (("peers", "pacs"), ("sources", "web")):
        assert fault_of(outcome(settings, table, name)) is ConnectionFault.NAME_NOT_FOUND


def test_a_delivery_to_an_unknown_name_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    ae = scu.application_entity(AeTitle("SEGNODE"))
    ae.add_requested_context("1.2.840.10008.1.1")
    remote = scu.Remote(AeTitle("PACS"), "pacs.invalid", 104)
    with (
        pytest.raises(Transient, match="does not know the name"),
        scu.associated(ae, remote),
    ):
        pass


def test_a_server_that_is_silent_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(http, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = int(silent.getsockname()[1])
        settings = site(tmp_path, f'[sources.web]\nurl = "http://127.0.0.1:{port}"\n', port=port)
        assert fault_of(outcome(settings, "sources", "web")) is ConnectionFault.TIMEOUT
        assert fault_of(outcome(settings, "peers")) is ConnectionFault.NO_DICOM


def test_a_web_server_is_no_dicom_node_and_no_tls(tmp_path: Path) -> None:
    with AnsweringServer() as server:
        settings = site(
            tmp_path,
            f'[sources.web]\nurl = "https://127.0.0.1:{server.port}"\n',
            port=server.port,
        )
        assert fault_of(outcome(settings, "peers")) is ConnectionFault.NO_DICOM
        report = outcome(settings, "sources", "web")
    assert fault_of(report) is ConnectionFault.TLS
    assert "it does not speak TLS" in report.steps[0].text


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (401, ConnectionFault.UNAUTHORIZED),
        (403, ConnectionFault.UNAUTHORIZED),
        (404, ConnectionFault.NOT_FOUND),
        (405, ConnectionFault.NOT_FOUND),
        (302, ConnectionFault.HTTP_STATUS),
        (503, ConnectionFault.HTTP_STATUS),
        (400, None),
        (204, None),
    ],
)
def test_each_http_status_has_its_meaning_for_stow_rs(
    tmp_path: Path, status: int, fault: ConnectionFault | None
) -> None:
    with AnsweringServer(status=status, location="https://elsewhere") as server:
        text = destination(f'kind = "dicomweb"\nurl = "{server.url}"\nusername = "segnode"')
        assert fault_of(outcome(site(tmp_path, text))) is fault
        method, path, body = server.requests[0]
    assert (method, path) == ("POST", "/studies")
    assert body == b"--segnode-probe--\r\n"
    assert server.authorization[0].startswith("Basic ")


def test_a_search_that_is_answered_with_a_page_is_recognised(tmp_path: Path) -> None:
    with AnsweringServer(content_type="text/html", body=b"<html>") as server:
        settings = site(tmp_path, f'[sources.web]\nurl = "{server.url}"\n')
        report = outcome(settings, "sources", "web")
    assert fault_of(report) is ConnectionFault.CONTENT
    assert "text/html, not with DICOM JSON" in report.steps[0].text


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (CAPABILITIES, None),
        (CAPABILITIES.replace(b"4.0.1", b"3.0.2"), ConnectionFault.CONTENT),
        (b'{"resourceType": "Patient"}', ConnectionFault.CONTENT),
        (b"not JSON", ConnectionFault.CONTENT),
    ],
)
def test_a_fhir_server_is_recognised_by_its_capabilities(
    tmp_path: Path, body: bytes, fault: ConnectionFault | None
) -> None:
    with AnsweringServer(body=body, content_type="application/fhir+json") as server:
        text = destination(f'kind = "fhir"\nurl = "{server.url}"')
        assert fault_of(outcome(site(tmp_path, text))) is fault
        assert server.requests[0][:2] == ("GET", "/metadata")


def test_an_mllp_receiver_gets_a_connection_and_no_message(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as receiver:
        port = receiver.getsockname()[1]
        text = destination(f'kind = "hl7"\nhost = "127.0.0.1"\nport = {port}')
        assert outcome(site(tmp_path, text)).passed
        connection, _ = receiver.accept()
        with connection:
            assert connection.recv(1) == b""


def test_an_mllp_receiver_with_an_unknown_authority_has_a_tls_fault(tmp_path: Path) -> None:
    certificate = Certificate.create(tmp_path, "receiver")
    with Hl7Server(tls=certificate.server_context()) as receiver:
        text = destination(f'kind = "hl7"\nhost = "127.0.0.1"\nport = {receiver.port}\ntls = true')
        assert fault_of(outcome(site(tmp_path, text))) is ConnectionFault.TLS


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    text = destination('kind = "folder"\npath = "archive"')
    settings = site(tmp_path, text)
    assert outcome(settings).passed
    assert not (tmp_path / "archive").exists()
    (tmp_path / "archive").write_text("a file", encoding="utf-8")
    assert fault_of(outcome(settings)) is ConnectionFault.NOT_WRITABLE


def test_a_missing_password_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    text = 'kind = "dicomweb"\nurl = "http://127.0.0.1:1"\nusername = "a"\npassword_env = "NO_SUCH"'
    report = outcome(site(tmp_path, destination(text)))
    assert fault_of(report) is ConnectionFault.CONFIGURATION
    assert "NO_SUCH is not set" in report.steps[0].text
