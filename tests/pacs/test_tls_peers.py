"""The node connects to peers by TLS: Orthanc and dcmtk, right and wrong."""

import select
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread

from node.commitment.scp_reports import CommitmentReporter
from node.commitment.scu import CommitmentReports, CommitmentScu
from node.delivery.cstore import CStore
from node.delivery.destination import ResultFile
from node.demo.free_ports import free_ports
from node.demo.orthanc_pacs import OrthancPacs, orthanc_missing
from node.dimse.remotes import remote_of_peer
from node.dimse.scu import Remote
from node.dimse.store_sending import send
from node.dimse.tls.connection import TlsConnection
from node.dimse.tls.contexts import PeerTls
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.connections.failure import ConnectionFault
from node.domain.connections.probe import ConnectionName, ConnectionTable, ProbeReport
from node.domain.connections.seen_certificate import PeerRole
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle, Uid
from node.domain.retry_policy import RetryPolicy
from node.health.certificates import peer_certificate_problems
from node.probes import dicom
from node.probes.site import probe
from node.retrieval.sources import retrieval_sources
from node.settings import DicomTlsOptions, MonitoringOptions, Settings, load_settings
from tests.support.certificate_authority import CertificateAuthority, Issued
from tests.support.dicom.body import grid
from tests.support.dicom.builders import ct_series
from tests.support.dicom.small_ct import SLICES, small_ct
from tests.support.servers.ruled_listener import RuledListener, now, ruled_listener
from tests.support.waiting import until

TITLE = AeTitle("SEGNODE")
DAY = timedelta(days=1)


def peer(port: int, more: str = "tls = true", *, retrieve: str = "get") -> str:
    return (
        f'[peers.pacs]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {port}\n'
        f'retrieve = "{retrieve}"\n{more}\n'
    )


@dataclass(frozen=True)
class Site:
    """A listener with certificates, and an Orthanc that takes and opens TLS associations alone."""

    node: RuledListener
    orthanc: OrthancPacs
    series: tuple[Uid, Uid]  # study and series, which Orthanc has
    files: tuple[Path, ...]

    def settings(self, retrieve: str = "get") -> Settings:
        return _settings(self.node, peer(self.orthanc.dicom_port, retrieve=retrieve))

    @property
    def remote(self) -> Remote:
        settings = self.settings()
        return remote_of_peer(settings.peers["pacs"], settings)


def _settings(node: RuledListener, text: str) -> Settings:
    folder = node.folder / "peers"
    folder.mkdir(exist_ok=True)
    file = folder / "segnode.toml"
    head = f'data_dir = "data"\n{node.certificates.settings}[listener]\n'
    file.write_text(f'{head}host = "127.0.0.1"\n{text}', encoding="utf-8")
    return load_settings(file)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    missing = orthanc_missing()
    if missing:
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("site")
    with ruled_listener(folder, peer(104)) as node:
        certificates = node.certificates
        listener = {"AET": TITLE, "Host": "127.0.0.1", "Port": node.listener.tls_port}
        orthanc = OrthancPacs(
            folder / "orthanc",
            configuration={
                **certificates.orthanc_settings(),
                "DicomAlwaysAllowFind": True,
                "DicomAlwaysAllowGet": True,
                "DicomAlwaysAllowMove": True,
                "DicomModalities": {"segnode": {**listener, "UseDicomTls": True}},
            },
        )
        orthanc.start()
        files = small_ct().write(folder / "ct")
        for file in files:
            orthanc.upload(file)
        header = dcmread(files[0], stop_before_pixels=True)
        series = Uid(header.StudyInstanceUID), Uid(header.SeriesInstanceUID)
        yield Site(node, orthanc, series, tuple(files))
        orthanc.kill()


def test_a_peer_that_takes_tls_alone_passes_every_step_of_its_probe(site: Site) -> None:
    for method in ("get", "move"):
        report = probe(site.settings(method), ConnectionName(ConnectionTable.PEERS, "pacs"))
        assert report.passed, report


def result_file(file: Path) -> ResultFile:
    header = dcmread(file, stop_before_pixels=True)
    study, series = Uid(header.StudyInstanceUID), Uid(header.SeriesInstanceUID)
    return ResultFile(file, study, series, Uid(header.SOPInstanceUID))


def test_results_are_delivered_by_tls(site: Site, tmp_path: Path) -> None:
    files = ct_series(seed="by tls", geometry=grid(slices=3, rows=8, columns=8)).write(tmp_path)
    before = site.orthanc.get("/statistics")["CountInstances"]
    CStore("pacs", site.remote, TITLE).deliver([result_file(file) for file in files])
    assert site.orthanc.get("/statistics")["CountInstances"] == before + len(files)
    assert send(site.files, site.remote, TITLE).accepted == SLICES


def test_a_series_is_retrieved_by_c_get_and_by_c_move_over_tls(site: Site) -> None:
    node = site.node
    sources = retrieval_sources(site.settings("get"), node.store)
    received: list[object] = []
    assert sources["pacs"](*site.series, received.append) == SLICES
    assert len(received) == SLICES
    # Orthanc sends to the listener's port for TLS, with its certificate.
    sources = retrieval_sources(site.settings("move"), node.store)
    assert sources["pacs"](*site.series, received.append) == SLICES
    moved = node.store.get_series(site.series[1])
    assert moved is not None
    assert moved.instance_count == SLICES


def test_the_certificate_of_a_receiver_is_remembered(site: Site) -> None:
    settings, store = site.settings(), site.node.store
    seen = SeenCertificates(store, now, PeerRole.RECEIVER)
    dicom.echo(remote_of_peer(settings.peers["pacs"], settings, seen), TITLE)
    seen.flush()
    (stored,) = [one for one in store.peer_certificates(now()) if one.role is PeerRole.RECEIVER]
    assert (stored.ae_title, stored.names) == ("ORTHANC", ("127.0.0.1", "pacs"))
    early = settings.model_copy(update={"monitoring": MonitoringOptions(certificate_days=400)})
    (problem,) = peer_certificate_problems(early, store, now())
    assert "The certificate that ORTHANC shows (127.0.0.1, pacs) expires on" in problem.text
    assert peer_certificate_problems(settings, store, now()) == []


def test_storage_commitment_works_by_tls_in_both_directions(site: Site) -> None:
    node, orthanc = site.node, site.orthanc
    stored = list(orthanc.post("/tools/find", {"Level": "Instance", "Query": {}}))
    orthanc.post("/modalities/segnode/store", stored)
    created = orthanc.post("/modalities/segnode/storage-commitment", {"Resources": stored})
    transaction = f"/storage-commitment/{created['ID']}"
    policy = RetryPolicy(0.01, 0.02, timedelta(hours=1))
    CommitmentReporter(node.store, {"ORTHANC": site.remote}, TITLE, policy, now).poll()
    until(lambda: orthanc.get(transaction)["Status"] == "Success", 20, "the report")

    results = [result_file(file) for file in site.files]
    requester = CommitmentScu(site.remote, TITLE, CommitmentReports(node.store, now))
    # Orthanc reports on an association of its own, to the listener's port for TLS.
    requester.request_commitment(Uid("1.2.3.4.5"), results)


def report_on(node: RuledListener, text: str) -> ProbeReport:
    return probe(_settings(node, text), ConnectionName(ConnectionTable.PEERS, "pacs"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuledListener]:
    with ruled_listener(tmp_path_factory.mktemp("node"), peer(104)) as running:
        yield running


@contextmanager
def storescp(*options: object) -> Iterator[int]:
    """DCMTK's storescp on a free port."""
    program = shutil.which("storescp")
    if program is None:
        pytest.skip("storescp is not installed: apt-get install dcmtk")
    (port,) = free_ports(1)
    command = [program, *map(str, options), "--ignore", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _listens(port), 20, "storescp to start")
        yield port
    finally:
        server.kill()
        server.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@dataclass(frozen=True)
class WrongPeer:
    """What storescp shows and trusts, what the peer's settings say, and what the probe finds."""

    shown: str = "pacs"
    trusted: str = "own"
    settings: str = "tls = true"
    text: str = ""


WRONG = {
    "another authority": WrongPeer(
        shown="stranger", text="the node does not trust the authority of its certificate"
    ),
    "an expired certificate": WrongPeer(shown="expired", text="its certificate has expired"),
    "a certificate of the future": WrongPeer(
        shown="early", text="its certificate is not valid yet"
    ),
    "another name": WrongPeer(
        settings='tls = true\nserver_name = "pacs.example"',
        text="is not valid for 'pacs.example'",
    ),
    "no trust in the node": WrongPeer(
        trusted="stranger", text="it does not trust the authority of the node's certificate"
    ),
    "no TLS in the settings": WrongPeer(settings="", text="expects TLS"),
}


def _issued(node: RuledListener) -> dict[str, tuple[Issued, Path]]:
    own = node.certificates.authority
    stranger = CertificateAuthority.create(node.folder / "stranger", "stranger")
    return {
        "pacs": (own.issue("pacs"), own.file),
        "own": (own.issue("own"), own.file),
        "stranger": (stranger.issue("pacs"), stranger.file),
        "expired": (own.issue("expired", valid_from=-10 * DAY, valid_for=DAY), own.file),
        "early": (own.issue("early", valid_from=10 * DAY), own.file),
    }


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_peer_is_told_apart(node: RuledListener, case: str) -> None:
    wrong, issued = WRONG[case], _issued(node)
    shown, _ = issued[wrong.shown]
    _, trusted = issued[wrong.trusted]
    with storescp("+tls", shown.key, shown.certificate, "+cf", trusted, "-rc") as port:
        report = report_on(node, peer(port, wrong.settings))
    (step,) = report.steps
    assert step.fault is ConnectionFault.TLS
    assert wrong.text in step.text
    assert step.remedy


def test_a_peer_without_tls_is_told_apart(node: RuledListener) -> None:
    with storescp() as port:
        (step,) = report_on(node, peer(port)).steps
    assert step.fault is ConnectionFault.TLS
    assert "does not speak TLS on this port" in step.text or "closed the connection" in step.text


def test_a_peer_that_is_silent_in_the_handshake_is_told_apart(
    node: RuledListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dicom, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (step,) = report_on(node, peer(silent.getsockname()[1])).steps
    assert step.fault is ConnectionFault.TLS
    assert "does not answer the TLS handshake" in step.text


def test_a_peer_that_demands_a_certificate_is_told_apart_where_the_node_has_none(
    node: RuledListener,
) -> None:
    settings = _settings(node, peer(node.listener.tls_port))
    options = settings.dicom_tls.model_copy(update={"certificate_file": None, "key_file": None})
    remote = remote_of_peer(
        settings.peers["pacs"], settings.model_copy(update={"dicom_tls": options})
    )
    with pytest.raises(Transient, match="demands a certificate, and the node shows none"):
        dicom.echo(replace(remote, ae_title=TITLE), AeTitle("ORTHANC"))


def _open_connections() -> set[str]:
    found = set()
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it is closed already
            found.add(str(handle.readlink()))
    return {target for target in found if target.startswith("socket:")}


@pytest.mark.parametrize("tls", [True, False])
def test_a_connection_that_fails_is_closed_at_once(node: RuledListener, tls: bool) -> None:
    settings = _settings(node, peer(free_ports(1)[0], f"tls = {str(tls).lower()}"))
    remote = remote_of_peer(settings.peers["pacs"], settings)
    before = _open_connections()
    with pytest.raises(Transient):
        dicom.echo(remote, TITLE)
    assert _open_connections() <= before


def test_a_delivery_names_the_reason_and_is_tried_again(node: RuledListener) -> None:
    issued, _ = _issued(node)["stranger"]
    with storescp("+tls", issued.key, issued.certificate, "-ic") as port:
        settings = _settings(node, peer(port))
        remote = remote_of_peer(settings.peers["pacs"], settings)
        with pytest.raises(Transient, match="does not trust the authority of its certificate"):
            send(small_ct().write(node.folder / "ct"), remote, TITLE)


def test_a_session_ticket_is_no_data_and_data_is_read_without_waiting(
    node: RuledListener,
) -> None:
    site = node.certificates
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # it sends two tickets
    server_side.load_cert_chain(site.node.certificate, site.node.key)
    options = DicomTlsOptions(ca_file=site.authority.file)
    context = PeerTls(options, "127.0.0.1", site.authority.file).context()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(lambda: server_side.wrap_socket(server.accept()[0], True))
        plain = socket.create_connection(server.getsockname())
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            assert isinstance(connection, TlsConnection)
            until(lambda: select.select([connection], [], [], 0)[0], 10, "the tickets")
            assert not connection.reads_ahead()
            with accepted.result() as peer_side:
                peer_side.sendall(b"data")
                until(connection.reads_ahead, 10, "the data")
                assert [connection.recv(3), connection.recv(3)] == [b"dat", b"a"]
                assert not connection.reads_ahead()
            until(connection.reads_ahead, 10, "the end")
            assert connection.recv(1) == b""
