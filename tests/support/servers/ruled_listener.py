"""A listener with the settings of a test, its certificates, and what it records."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.dimse.scu import Remote
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.connections.rejected_connection import ListenerRejection
from node.domain.connections.seen_certificate import PeerRole
from node.intake.inbox import Inbox
from node.intake.refused_images import RefusedImages
from node.settings import Settings, load_settings
from node.store import Store
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import policy_from
from pacs_listener.rejection_recorder import RejectionRecorder
from pacs_listener.scp import Listener
from tests.support.certificate_authority import Issued
from tests.support.factories import series_in
from tests.support.peers.secure_port import TlsSite
from tests.support.processes.secured_site import listener_at
from tests.support.waiting import until


def now() -> datetime:
    """The current time."""
    return datetime.now(UTC)


@dataclass
class RuledListener:
    """The running listener."""

    folder: Path
    settings: Settings
    listener: Listener
    port: int
    store: Store
    recorder: RejectionRecorder
    certificates: TlsSite
    seen: SeenCertificates

    def rejections(self) -> dict[ListenerRejection, int]:
        """How often each reason occurred since the last call."""
        before = self.store.rejection_counts()
        self.recorder.flush()
        after = self.store.rejection_counts()
        return {
            reason: count - before[reason]
            for reason, count in after.items()
            if count > before[reason]
        }

    def next_rejections(self) -> dict[ListenerRejection, int]:
        """Waits for rejections since the last call; a peer may know of them before the listener."""
        return until(self.rejections, 10, "a rejection")

    @property
    def scp(self) -> Remote:
        """The listener, as a sender connects to it by TLS."""
        assert self.listener.tls_port is not None
        return listener_at(self.port, self.listener.tls_port, self.certificates)

    def use(self, text: str) -> None:
        """Switches to other settings of listener and peers, on the same ports."""
        self.settings = _settings(self.folder, text, self.certificates)
        self.listener.use(policy_from(self.settings), Inbox(self.store, 0))

    def stored_images(self) -> int:
        """The number of images in the store."""
        return sum(series.instance_count for series in series_in(self.store))


@contextmanager
def ruled_listener(
    folder: Path, text: str, clock: Callable[[], datetime] = now
) -> Iterator[RuledListener]:
    """Runs a listener with and without TLS, each on a free port.

    `text` follows the head of the table [listener].
    """
    certificates = TlsSite.create(folder / "tls")
    settings = _settings(folder, text, certificates)
    store = Store.open(settings.database_url, settings.data_dir)
    recorder = RejectionRecorder(store, now)
    policy = policy_from(settings)
    commitment = CommitmentService(
        store, policy.committing_titles, now, policy.completing_titles("commitment")
    )
    seen = SeenCertificates(store, now, PeerRole.SENDER)
    inbox = Inbox(store, 0)
    refused = RefusedImages(store, now)
    listener = Listener(
        policy, inbox, commitment, clock, recorder, refused=refused, certificates=seen
    )
    port = listener.start()
    try:
        yield RuledListener(folder, settings, listener, port, store, recorder, certificates, seen)
    finally:
        listener.stop(0)
        store.close()


def _settings(folder: Path, text: str, certificates: TlsSite) -> Settings:
    file = folder / "segnode.toml"
    head = f'data_dir = "data"\n{certificates.settings}[listener]\nhost = "127.0.0.1"\n'
    file.write_text(f"{head}port = 0\ntls_port = 0\n{text}\n", encoding="utf-8")
    return load_settings(file)


def dcmtk(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs one of DCMTK's programs; skips without it."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: apt-get install dcmtk")
    command = [program, *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def shows(certificate: Issued, trusted: Path) -> list[object]:
    """The options of DCMTK for a program that shows a certificate and trusts an authority."""
    return ["+tls", certificate.key, certificate.certificate, "+cf", trusted]
