"""The certificate that a peer has shown last."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PeerRole(StrEnum):
    """Who has opened the connection; the values are stored."""

    SENDER = "sender"  # the peer
    RECEIVER = "receiver"  # the node


@dataclass(frozen=True)
class SeenCertificate:
    """A certificate that an authority of the node vouches for."""

    ae_title: str
    role: PeerRole
    names: tuple[str, ...]
    sha256: str
    expires_at: datetime
