"""The certificate that the other side of a TLS connection has shown."""

import hashlib
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self


@dataclass(frozen=True)
class PeerCertificate:
    """A certificate that an authority of the node vouches for.

    `names` are its DNS names and IP addresses (subject alternative names), and its common name.
    """

    names: tuple[str, ...]
    expires_at: datetime
    sha256: str

    @classmethod
    def of(cls, connection: ssl.SSLSocket) -> Self | None:
        """Returns the certificate; None where the other side has shown none, or none was asked."""
        content = connection.getpeercert(binary_form=True)
        fields: dict[str, Any] = dict(connection.getpeercert() or {})
        if not content or not fields:
            return None
        common = [
            value
            for part in fields.get("subject", ())
            for key, value in part
            if key == "commonName"
        ]
        named = [
            value
            for kind, value in fields.get("subjectAltName", ())
            if kind in {"DNS", "IP Address"}
        ]
        expires_s = ssl.cert_time_to_seconds(fields["notAfter"])
        return cls(
            tuple(dict.fromkeys([*named, *common])),
            datetime.fromtimestamp(expires_s, UTC),
            hashlib.sha256(content).hexdigest(),
        )

    def has_name(self, name: str) -> bool:
        """Whether it holds exactly this name; names of hosts ignore case."""
        return name.lower() in (known.lower() for known in self.names)
