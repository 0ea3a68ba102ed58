"""The table of the certificates that peers have shown."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from node.domain.connections.seen_certificate import PeerRole, SeenCertificate
from node.store.connections.tables import PEER_CERTIFICATES
from node.store.repository import Repository

KEPT = timedelta(days=30)
_T = PEER_CERTIFICATES.c


class PeerCertificates(Repository):
    """The last certificate of each peer and role, for 30 days."""

    def record_certificates(self, seen: Iterable[SeenCertificate], now: datetime) -> None:
        """Stores what was seen until `now`; forgets what was not seen for long."""
        with self._database.writing() as connection:
            # In one order, so that two hosts do not wait for each other's rows.
            for one in sorted(seen, key=lambda each: (each.ae_title, each.role)):
                changed = {
                    "names": json.dumps(one.names),
                    "sha256": one.sha256,
                    "expires_at": one.expires_at,
                    "seen_at": now,
                }
                row = {"ae_title": one.ae_title, "role": one.role.value, **changed}
                insert = self._database.insert(PEER_CERTIFICATES).values(row)
                connection.execute(
                    insert.on_conflict_do_update(index_elements=["ae_title", "role"], set_=changed)
                )
            connection.execute(delete(PEER_CERTIFICATES).where(_T.seen_at < now - KEPT))

    def peer_certificates(self, now: datetime) -> list[SeenCertificate]:
        """Returns the certificates, by AE title."""
        query = (
            select(PEER_CERTIFICATES).where(_T.seen_at >= now - KEPT).order_by(_T.ae_title, _T.role)
        )
        with self._database.reading() as connection:
            return [
                SeenCertificate(
                    row.ae_title,
                    PeerRole(row.role),
                    tuple(json.loads(row.names)),
                    row.sha256,
                    row.expires_at,
                )
                for row in connection.execute(query)
            ]
