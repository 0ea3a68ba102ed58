"""Sends the records of the audit trail to a syslog server, each at least once."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from node.audit.syslog import SyslogServer
from node.domain.errors import Transient
from node.store import Store

_LOG = structlog.get_logger()
# One connection carries so many records, which it repeats if it is cut.
_BATCH = 200
_FIRST_DELAY_S, _MAX_DELAY_S = 5.0, 300.0


@dataclass
class AuditForwarder:
    """Sends what was not sent yet, chain by chain; None as server sends nothing.

    After a failure it waits, twice as long after each further one.
    """

    store: Store
    server: SyslogServer | None
    clock: Callable[[], float] = time.monotonic
    _delay_s: float = field(default=0.0, init=False)
    _next_at: float = field(default=0.0, init=False)

    def poll(self) -> None:
        """Sends everything that waits.

        Raises:
            Transient: the database does not answer.
        """
        if self.server is None or self.clock() < self._next_at:
            return
        for chain in self.store.audit_chains():
            if not self._send(chain, self.server):
                return

    def _send(self, chain: str, server: SyslogServer) -> bool:
        """Sends the records of a chain; returns whether the server has all of them."""
        while records := self.store.unsent_audit_records(chain, _BATCH):
            try:
                server.send(records)
            except Transient as error:
                self._postpone(chain, error)
                return False
            if self._delay_s > 0.0:
                self._delay_s = 0.0
                _LOG.info("audit.syslog_answers_again")
            self.store.record_audit_sent(chain, records[-1].sequence)
        return True

    def _postpone(self, chain: str, error: Transient) -> None:
        if self._delay_s == 0.0:
            _LOG.warning("audit.not_sent", error=str(error))
        self._delay_s = min(_MAX_DELAY_S, max(_FIRST_DELAY_S, self._delay_s * 2))
        self._next_at = self.clock() + self._delay_s
        self.store.record_audit_not_sent(chain, str(error))
