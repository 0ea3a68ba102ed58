"""Senders by TLS: dcmtk and pynetdicom, with right and wrong certificates."""

import signal
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from structlog.testing import capture_logs

from node.demo.free_ports import free_ports
from node.domain.connections.rejected_connection import ListenerRejection
from node.domain.connections.seen_certificate import PeerRole
from node.domain.errors import Misconfigured
from node.intake.inbox import Inbox
from node.intake.refused_images import RefusedImages
from pacs_listener import __main__ as listener_main
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import policy_from
from pacs_listener.processes.share import ListenerShare
from pacs_listener.scp import Listener
from tests.support.certificate_authority import CertificateAuthority, Issued
from tests.support.dicom.small_ct import SLICES, small_ct
from tests.support.peers.raw_peer import RawPeer
from tests.support.peers.secure_port import (
    SecurePort,
    TlsSite,
    client_context,
    open_connection,
)
from tests.support.peers.upper_layer import c_echo
from tests.support.processes.listener_process import ListenerProcess
from tests.support.servers.ruled_listener import RuledListener, dcmtk, now, ruled_listener, shows
from tests.support.waiting import until

# The sender's certificate has the common name ct1. ATTACKER is the AE title of `RawPeer`.
PEERS = """
[peers.bound]
ae_title = "CT1"
host = "192.0.2.21"
port = 104
certificate_name = "ct1"
[peers.free]
ae_title = "CT2"
host = "192.0.2.22"
port = 104
[peers.raw]
ae_title = "ATTACKER"
host = "192.0.2.23"
port = 104
"""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Others:
    """Certificates that are wrong, each in its own way."""

    stranger: CertificateAuthority
    of_stranger: Issued
    expired: Issued
    early: Issued


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuledListener]:
    with ruled_listener(tmp_path_factory.mktemp("listener"), PEERS) as running:
        yield running


@pytest.fixture(scope="module")
def others(listener: RuledListener) -> Others:
    authority = listener.certificates.authority
    stranger = CertificateAuthority.create(listener.folder / "stranger", "stranger")
    return Others(
        stranger,
        stranger.issue("ct1"),
        authority.issue("expired", valid_from=-10 * DAY, valid_for=DAY),
        authority.issue("early", valid_from=10 * DAY),
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return small_ct().write(tmp_path_factory.mktemp("ct"))


def address(port: int, calling: str = "CT1") -> list[object]:
    return ["-aet", calling, "-aec", "SEGNODE", "127.0.0.1", port]


def test_images_that_dcmtk_sends_by_tls_are_stored(
    listener: RuledListener, images: list[Path]
) -> None:
    site = listener.certificates
    options = shows(site.sender, site.authority.file)
    sent = dcmtk("storescu", *options, *address(listener.listener.tls_port), *images)
    assert sent.returncode == 0, sent.stderr
    assert listener.stored_images() == SLICES
    # storescu proposes classes of many other objects.
    assert set(listener.rejections()) <= {ListenerRejection.SOP_CLASS}


WRONG = {
    "another authority": ListenerRejection.CERTIFICATE_NOT_TRUSTED,
    "an expired certificate": ListenerRejection.CERTIFICATE_EXPIRED,
    "a certificate of the future": ListenerRejection.CERTIFICATE_EXPIRED,
    "no certificate": ListenerRejection.NO_CERTIFICATE,
    "no trust in the node": ListenerRejection.OWN_CERTIFICATE_REFUSED,
    "no TLS": ListenerRejection.TLS_EXPECTED,
    "TLS on the other port": ListenerRejection.PLAIN_EXPECTED,
    "the certificate of another peer": ListenerRejection.CERTIFICATE_NAME,
    "a bound title without TLS": ListenerRejection.CERTIFICATE_NAME,
}


def wrong_options(listener: RuledListener, others: Others) -> dict[str, list[object]]:
    """The options of DCMTK in each case."""
    site = listener.certificates
    trusted, secured = site.authority.file, address(listener.listener.tls_port)
    return {
        "another authority": [*shows(others.of_stranger, trusted), *secured],
        "an expired certificate": [*shows(others.expired, trusted), *secured],
        "a certificate of the future": [*shows(others.early, trusted), *secured],
        "no certificate": ["+tla", "+cf", trusted, *secured],
        "no trust in the node": [*shows(site.sender, others.stranger.file), *secured],
        "no TLS": secured,
        "TLS on the other port": [*shows(site.sender, trusted), *address(listener.port)],
        "the certificate of another peer": [*shows(site.node, trusted), *secured],
        "a bound title without TLS": address(listener.port),
    }


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_sender_is_told_apart_and_nothing_is_stored(
    listener: RuledListener, others: Others, images: list[Path], case: str
) -> None:
    before = listener.stored_images()
    sent = dcmtk("storescu", *wrong_options(listener, others)[case], images[0])
    assert sent.returncode != 0
    assert listener.next_rejections() == {WRONG[case]: 1}
    assert listener.stored_images() == before


def test_a_peer_without_certificate_name_may_use_any_certificate_or_none(
    listener: RuledListener,
) -> None:
    site = listener.certificates
    options = shows(site.sender, site.authority.file)
    secured = address(listener.listener.tls_port, "CT2")
    assert dcmtk("echoscu", *options, *secured).returncode == 0
    assert dcmtk("echoscu", *address(listener.port, "CT2")).returncode == 0


def test_a_version_of_tls_before_1_2_is_refused(listener: RuledListener) -> None:
    port = secure_port(listener)
    port.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        port.context.maximum_version = ssl.TLSVersion.TLSv1_1
    port.context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        open_connection(port, 10)
    assert listener.next_rejections() == {ListenerRejection.TLS_FAILED: 1}


def secure_port(listener: RuledListener) -> SecurePort:
    return listener.certificates.port(listener.listener.tls_port)


def shown_serial(port: SecurePort) -> str:
    """The serial number of the certificate that the listener shows now."""
    with open_connection(port, 10) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        fields = connection.getpeercert()
        assert fields is not None
        return str(fields["serialNumber"])


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RuledListener]:
    """A listener whose certificates a test may change."""
    with ruled_listener(tmp_path, PEERS) as running:
        yield running


def test_a_renewed_certificate_is_used_while_associations_go_on(
    own: RuledListener, images: list[Path]
) -> None:
    port = secure_port(own)
    entity = AE("CT1")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    opened = entity.associate(
        "127.0.0.1",
        port.number,
        ae_title="SEGNODE",
        tls_args=(port.context, "127.0.0.1"),
    )
    assert opened.send_c_store(images[0]).get("Status") == 0
    before = shown_serial(port)

    site = own.certificates
    site.node.key.write_text("replaced by half")
    with pytest.raises(Misconfigured):
        own.listener.renew_certificates()
    assert shown_serial(port) == before

    site.authority.issue("node")
    own.listener.renew_certificates()
    assert shown_serial(port) != before
    assert opened.send_c_store(images[1]).get("Status") == 0
    opened.release()


def test_a_switch_of_the_configuration_renews_certificates_and_bindings(
    own: RuledListener,
) -> None:
    port = secure_port(own)
    before = shown_serial(port)
    own.certificates.authority.issue("node")
    own.use(PEERS.replace('"ct1"', '"another"'))
    assert shown_serial(port) != before
    own.rejections()
    echo = dcmtk(
        "echoscu",
        *shows(own.certificates.sender, own.certificates.authority.file),
        *address(port.number),
    )
    assert echo.returncode != 0
    assert own.next_rejections() == {ListenerRejection.CERTIFICATE_NAME: 1}


def test_a_reload_of_the_running_node_renews_the_certificate(tmp_path: Path) -> None:
    site = TlsSite.create(tmp_path / "tls")
    with ListenerProcess(tmp_path / "data", tls=site) as process:
        before = shown_serial(process.tls_port)
        site.authority.issue("node")
        process.process.send_signal(signal.SIGHUP)
        until(lambda: shown_serial(process.tls_port) != before, 20, "the renewed certificate")
        assert process.stop() == 0


def test_a_listener_does_not_start_with_an_expired_certificate(tmp_path: Path) -> None:
    site = TlsSite.create(tmp_path / "tls")
    site.authority.issue("node", valid_from=-10 * DAY, valid_for=DAY)
    with pytest.raises(AssertionError, match=r"dicom_tls\.certificate_file: .* expired on"):
        ListenerProcess(tmp_path / "data", tls=site)


def test_the_certificates_of_peers_are_remembered_until_they_are_stored(
    tmp_path: Path,
) -> None:
    with ruled_listener(tmp_path, PEERS) as running:
        for calling in ("CT1", "CT2"):
            site = running.certificates
            echo = [*shows(site.sender, site.authority.file), *secured_address(running, calling)]
            assert dcmtk("echoscu", *echo).returncode == 0
        running.seen.flush()
        stored = running.store.peer_certificates(now())
    assert [(one.ae_title, one.role) for one in stored] == [
        ("CT1", PeerRole.SENDER),
        ("CT2", PeerRole.SENDER),
    ]
    assert {one.names for one in stored} == {("127.0.0.1", "ct1")}


def secured_address(listener: RuledListener, calling: str) -> list[object]:
    return address(listener.listener.tls_port, calling)


def test_a_sender_needs_no_certificate_where_it_is_optional(tmp_path: Path) -> None:
    text = f'client_certificates = "optional"\n{PEERS}'
    with ruled_listener(tmp_path, text) as running:
        authority = running.certificates.authority
        number = running.listener.tls_port
        with RawPeer.associated(SecurePort(number, client_context(authority))) as peer:
            assert peer.status([c_echo()]) == 0
        echo = dcmtk("echoscu", "+tla", "+cf", authority.file, *address(number))
        assert echo.returncode != 0
        assert running.next_rejections() == {ListenerRejection.CERTIFICATE_NAME: 1}


def test_the_port_without_tls_can_be_closed(tmp_path: Path) -> None:
    with ruled_listener(tmp_path, f"plain = false\n{PEERS}") as running:
        assert running.port == running.listener.tls_port
        with RawPeer.associated(secure_port(running)) as peer:
            assert peer.status([c_echo()]) == 0


def test_the_log_names_no_port_that_is_closed(tmp_path: Path) -> None:
    with ruled_listener(tmp_path, f"plain = false\n{PEERS}") as running:
        refused, share = RefusedImages(running.store, now), ListenerShare.alone()
        process = listener_main.ListenerProcess(
            running.store, running.recorder, refused, running.seen, share
        )
        process.use(running.settings)
        try:
            with capture_logs() as logs:
                process.log_ready()
        finally:
            process.stop()
        (ready,) = logs
        assert ready["event"] == "listener.ready"
        assert ready["tls_port"] > 0
        assert "port" not in ready


def test_a_port_for_tls_that_is_in_use_is_named_and_the_other_one_is_freed(
    tmp_path: Path,
) -> None:
    with ruled_listener(tmp_path, PEERS) as running:
        policy = policy_from(running.settings)
        assert policy.tls is not None
        (free,) = free_ports(1)
        taken = replace(policy.tls, port=running.listener.tls_port)
        commitment = CommitmentService(running.store, (), now)
        for _ in range(2):  # the second time, the port without TLS is free again
            second = Listener(
                replace(policy, port=free, tls=taken), Inbox(running.store, 0), commitment, now
            )
            with pytest.raises(Misconfigured, match=r"listener\.tls_port: cannot listen on"):
                second.start()
