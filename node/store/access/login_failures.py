"""The table of failed logins, which every web process of the site counts."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from node.store.access.tables import LOGIN_FAILURES
from node.store.migrate import acquire_site_lock
from node.store.repository import Repository

_F = LOGIN_FAILURES.c
# Returns the moment until which a subject must wait after so many failures, the last one then.
WaitsUntil = Callable[[str, int, datetime], datetime]


class LoginFailures(Repository):
    """The number of failures of each subject: an account, an address or a lock-out period."""

    def begin_attempt(
        self, subjects: Iterable[str], waits_until: WaitsUntil, now: datetime
    ) -> datetime | None:
        """Counts an attempt as failed before it is checked, so that parallel ones count, too.

        Returns the moment before which the attempt may not be made; then it does not count. None
        if it may be made now.
        """
        with self._database.writing() as connection:
            acquire_site_lock(connection, self._database)
            failures = dict.fromkeys(sorted(subjects), 0)
            waits = [now]
            for row in connection.execute(select(LOGIN_FAILURES).where(_F.subject.in_(failures))):
                failures[row.subject] = row.failures
                waits.append(waits_until(row.subject, row.failures, row.last_at))
            if max(waits) > now:
                return max(waits)
            for subject, count in failures.items():
                values = {"failures": count + 1, "last_at": now}
                connection.execute(
                    self._database.insert(LOGIN_FAILURES)
                    .values(subject=subject, **values)
                    .on_conflict_do_update(index_elements=[_F.subject], set_=values)
                )
        return None

    def is_first_refusal(self, period: str, now: datetime) -> bool:
        """Whether no attempt was refused in the period before; `period` names it as a subject."""
        with self._database.writing() as connection:
            added = connection.execute(
                self._database.insert(LOGIN_FAILURES)
                .values(subject=period, failures=1, last_at=now)
                .on_conflict_do_nothing(index_elements=[_F.subject])
                .returning(_F.subject)
            )
            return added.first() is not None

    def forgive_attempt(self, account: str, address: str) -> None:
        """Forgets the failures of an account after a success, and one of the address."""
        with self._database.writing() as connection:
            connection.execute(delete(LOGIN_FAILURES).where(_F.subject == account))
            connection.execute(
                LOGIN_FAILURES.update()
                .where(_F.subject == address, _F.failures > 0)
                .values(failures=_F.failures - 1)
            )

    def remove_old_failures(self, now: datetime, kept: timedelta) -> None:
        """Forgets subjects whose last failure was longer ago than `kept`."""
        with self._database.writing() as connection:
            connection.execute(delete(LOGIN_FAILURES).where(_F.last_at < now - kept))
