"""Remembers the certificates that peers show, until a timer stores them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from node.dimse.tls.peer_certificate import PeerCertificate
from node.domain.connections.seen_certificate import PeerRole, SeenCertificate
from node.domain.errors import Transient
from node.store import Store

_LOG = structlog.get_logger()
FLUSH_SECONDS = 30.0


@dataclass
class SeenCertificates:
    """The last certificate of each peer; an association never waits for the database."""

    store: Store
    now: Callable[[], datetime]
    role: PeerRole
    _seen: dict[str, SeenCertificate] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, ae_title: str, shown: PeerCertificate) -> None:
        """Remembers the certificate of a peer that the configuration names."""
        seen = SeenCertificate(ae_title, self.role, shown.names, shown.sha256, shown.expires_at)
        with self._lock:
            self._seen[ae_title] = seen

    def flush(self) -> None:
        """Stores what was seen since the last call; keeps it if the database does not answer."""
        with self._lock:
            seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            self.store.record_certificates(seen.values(), self.now())
        except Transient as error:
            _LOG.warning("tls.certificates_not_stored", error=str(error))
            with self._lock:
                self._seen = seen | self._seen
