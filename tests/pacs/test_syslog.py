"""The audit trail at a syslog server: rsyslog by TLS, wrong ones, and one that is away."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from node.audit.forwarding import AuditForwarder
from node.audit.syslog import SyslogServer, syslog_message
from node.domain.audit.records import (
    AuditAction,
    AuditActor,
    AuditInterface,
    AuditObject,
    AuditObjectType,
    AuditOutcome,
    AuditRecord,
)
from node.health.audit import audit_problems
from node.maintenance.audit_retention import AuditRetention
from node.settings import Settings
from node.settings.auditing import AuditOptions, SyslogOptions
from node.store import Store
from node.tls.certificate_files import TlsFiles
from tests.support.audit_records import audit_records
from tests.support.certificate_authority import CertificateAuthority
from tests.support.factories import NOON, sqlite_url
from tests.support.servers.syslog_server import SyslogDaemon
from tests.support.waiting import until

_WAIT_S = 30.0
STUDY = AuditObject(AuditObjectType.STUDY, "1.2.3")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, authority: CertificateAuthority
) -> Iterator[SyslogDaemon]:
    """rsyslog with the configuration of the guide."""
    running = SyslogDaemon(tmp_path_factory.mktemp("rsyslog"), authority)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def files(authority: CertificateAuthority) -> TlsFiles:
    issued = authority.issue("node", "segnode.hospital.example")
    return TlsFiles(authority.file, issued.certificate, issued.key)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(sqlite_url(tmp_path), tmp_path)
    yield opened
    opened.close()


def record(store: Store, detail: str, change: str = "") -> None:
    actor = AuditActor("ada", AuditInterface.CLI)
    action, outcome = AuditAction.EXPORTED, AuditOutcome.SUCCESS
    store.record(AuditRecord(NOON, action, outcome, actor, (STUDY,), detail, change))


def server(daemon: SyslogDaemon, files: TlsFiles | None) -> SyslogServer:
    return SyslogServer("localhost", daemon.port, 10.0, files)


def test_records_arrive_by_tls_in_their_order_and_only_once(
    daemon: SyslogDaemon, files: TlsFiles, store: Store
) -> None:
    since = len(daemon.messages)
    forwarder = AuditForwarder(store, server(daemon, files))
    for number in range(450):
        record(store, f"{number} \u00fc\u00a0<&>")
    forwarder.poll()
    forwarder.poll()
    record(store, "later", change="+" * 20_000)
    forwarder.poll()
    until(lambda: len(daemon.messages) - since >= 451, _WAIT_S, "the messages")
    arrived = daemon.messages[since:]
    assert len(arrived) == 451
    assert [syslog_message(each).decode() for each in reversed(audit_records(store))] == arrived
    assert store.waiting_audit_records() == []


def test_records_arrive_by_plain_tcp(tmp_path: Path, store: Store) -> None:
    plain = SyslogDaemon(tmp_path, None)
    plain.start()
    try:
        record(store, "first")
        AuditForwarder(store, server(plain, None)).poll()
        until(lambda: len(plain.messages) == 1, _WAIT_S, "the message")
        assert plain.messages[0].startswith("<85>1 2026-")
    finally:
        plain.stop()


def test_a_server_that_is_away_gets_everything_later(
    tmp_path: Path, authority: CertificateAuthority, files: TlsFiles, store: Store
) -> None:
    now = [0.0]
    away = SyslogDaemon(tmp_path, authority)
    forwarder = AuditForwarder(store, server(away, files), lambda: now[0])
    record(store, "first")
    forwarder.poll()
    settings = Settings(
        data_dir=tmp_path, audit=AuditOptions(syslog=SyslogOptions(host="localhost"))
    )
    assert audit_problems(settings, store, NOON + timedelta(minutes=1)) == []
    (problem,) = audit_problems(settings, store, NOON + timedelta(hours=1))
    assert "The syslog server lacks 1 record of the audit trail" in problem.text
    assert "does not answer: Connection refused" in problem.text
    retention = AuditRetention(
        store, timedelta(days=1), lambda: NOON + timedelta(days=9), only_sent=True
    )
    retention.poll()
    away.start()
    try:
        record(store, "second")
        forwarder.poll()  # it waits after the failure
        assert away.messages == []
        now[0] += 5.0
        forwarder.poll()
        until(lambda: len(away.messages) == 2, _WAIT_S, "the messages")
        away.stop()
        away.start()
        record(store, "third")
        forwarder.poll()
        until(lambda: len(away.messages) == 3, _WAIT_S, "the third message")
    finally:
        away.stop()
    assert audit_problems(settings, store, NOON + timedelta(hours=1)) == []


@pytest.mark.parametrize(
    ("case", "diagnosis"),
    [
        ("unknown authority", "ca_file"),
        ("no certificate", "accepts its certificate"),
        ("another name", "another name"),
        ("plain", "port is for syslog by TCP"),
    ],
)
def test_a_connection_that_is_refused_is_named_and_nothing_counts_as_sent(
    daemon: SyslogDaemon,
    files: TlsFiles,
    store: Store,
    tmp_path: Path,
    case: str,
    diagnosis: str,
) -> None:
    other = CertificateAuthority.create(tmp_path / "other")
    servers = {
        "unknown authority": server(daemon, TlsFiles(other.file, files.certificate, files.key)),
        "no certificate": SyslogServer("localhost", daemon.port, 1.0, TlsFiles(files.ca)),
        "another name": SyslogServer("127.0.0.1", daemon.port, 10.0, files),
        "plain": server(daemon, None),
    }
    before = len(daemon.messages)
    record(store, "first")
    AuditForwarder(store, servers[case]).poll()
    (waiting,) = store.waiting_audit_records()
    assert waiting.count == 1
    assert diagnosis in waiting.error
    assert len(daemon.messages) == before


def test_a_server_that_reads_nothing_or_cuts_the_connection_has_nothing(store: Store) -> None:
    record(store, "first")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        AuditForwarder(store, SyslogServer("127.0.0.1", port, 0.2, None)).poll()
    (waiting,) = store.waiting_audit_records()
    assert "has not read the records within 0.2 s" in waiting.error
    with socket.create_server(("127.0.0.1", 0)) as cutting:
        port = cutting.getsockname()[1]

        def cut() -> None:
            connection, _ = cutting.accept()
            connection.recv(1)
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()

        thread = threading.Thread(target=cut)
        thread.start()
        AuditForwarder(store, SyslogServer("127.0.0.1", port, 10.0, None)).poll()
        thread.join()
    (waiting,) = store.waiting_audit_records()
    assert "has closed the connection before it had read the records" in waiting.error
