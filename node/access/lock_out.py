"""Waiting times after failed logins, for each account and each address.

Every web process counts in the database. An account is named by a digest: people sometimes type
their password as the name.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from node.access.authentication import RequestFacts
from node.access.login_records import locked_out_record
from node.access.secrets import digest_of_identifier
from node.audit.losses import AuditLosses
from node.audit.recording import record_if_possible
from node.domain.access.users import AccountError
from node.domain.errors import Transient
from node.store import Store

_LOG = structlog.get_logger()
# So many failures cost nothing; then the time doubles with each one.
FREE_FAILURES_OF_ACCOUNT = 5
# Many people may share the address of a proxy.
FREE_FAILURES_OF_ADDRESS = 20
_FIRST_WAIT = timedelta(seconds=2)
MAX_WAIT = timedelta(minutes=15)
# Without a failure for so long, the count starts again.
_KEPT = timedelta(hours=24)
_MAX_DOUBLINGS = 20
_ACCOUNT, _ADDRESS, _PERIOD = "account:", "address:", "period:"


@dataclass(frozen=True)
class LockOut:
    """Counts failed attempts of logins."""

    store: Store

    def begin(self, account: str, facts: RequestFacts) -> None:
        """Counts an attempt as failed until it has succeeded.

        Raises:
            AccountError: the account or the address must wait first.
        """
        self.store.remove_old_failures(facts.now, _KEPT)
        subjects = _subjects(account, facts.client_address)
        until = self.store.begin_attempt(subjects, _waits_until, facts.now)
        if until is not None:
            _LOG.warning("login.locked_out", address=facts.client_address)
            self._record(account, facts, until)
            seconds = max(1, round((until - facts.now).total_seconds()))
            raise AccountError(f"too many attempts have failed; try again in {seconds} s")

    def _record(self, account: str, facts: RequestFacts, until: datetime) -> None:
        """Records the first attempt from an address in a lock-out period.

        The account is no part of the period: who tries many names would fill the audit trail.
        """
        period = f"{facts.client_address} {until.isoformat()}"
        if not self.store.is_first_refusal(_PERIOD + digest_of_identifier(period), facts.now):
            return
        credentials = self.store.credentials_of(account.strip().lower())
        name = "" if credentials is None else credentials.user.name
        record = locked_out_record(name, facts, until)
        record_if_possible(self.store.record, record, AuditLosses(self.store.data_dir))

    def succeeded(self, account: str, facts: RequestFacts) -> None:
        """Forgets the failures of the account, and this attempt of the address.

        What has succeeded stays so where the database does not answer: the attempt then counts.
        """
        with suppress(Transient):
            self.store.forgive_attempt(*_subjects(account, facts.client_address))

    def forgive(self, account: str) -> None:
        """Forgets the failures of the account."""
        self.store.forgive_attempt(*_subjects(account, ""))


def _subjects(account: str, address: str) -> tuple[str, str]:
    account = account.strip().lower()
    return _ACCOUNT + digest_of_identifier(account), _ADDRESS + address[:64]


def _waits_until(subject: str, failures: int, last_at: datetime) -> datetime:
    """Returns the moment before which the subject must not try again."""
    is_account = subject.startswith(_ACCOUNT)
    above = failures - (FREE_FAILURES_OF_ACCOUNT if is_account else FREE_FAILURES_OF_ADDRESS)
    if above < 0:
        return last_at
    doublings: int = min(above, _MAX_DOUBLINGS)
    wait: timedelta = _FIRST_WAIT * (1 << doublings)
    return last_at + min(wait, MAX_WAIT)
