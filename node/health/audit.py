"""Records of the audit trail that a syslog server does not have."""

from datetime import datetime, timedelta

from node.domain.monitoring.problem import Problem, ProblemKind, Urgency, sentence_end
from node.settings import Settings
from node.store import Store

# A server that restarts is no problem.
_MAX_WAIT = timedelta(minutes=15)


def audit_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """Returns a problem if records wait for the syslog server for too long.

    Raises:
        Transient: the database does not answer.
    """
    if settings.audit.syslog is None:
        return []
    late = [each for each in store.waiting_audit_records() if now - each.oldest_at > _MAX_WAIT]
    if not late:
        return []
    count = sum(each.count for each in late)
    error = next((each.error for each in late if each.error), "the worker has not sent them yet")
    return [
        Problem(
            kind=ProblemKind.AUDIT_NOT_SENT,
            subject="",
            urgency=Urgency.WARNING,
            text=sentence_end(
                f"{count} records of the audit trail wait for the syslog server: {error}"
            ),
            remedy=(
                "Correct the server, the network or [audit.syslog]; nothing is lost, and the node "
                "sends them by itself."
            ),
            since=min(each.oldest_at for each in late),
        )
    ]
