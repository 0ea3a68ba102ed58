"""Records of the audit trail that could not be written, or that a syslog server does not have."""

from datetime import UTC, datetime, timedelta

from node.domain.audit.lost_records import LostRecords
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.texts.sentences import sentence_end
from node.settings import Settings
from node.store import Store

# A server that restarts is no problem.
_MAX_WAIT = timedelta(minutes=15)
# Nothing repairs a loss; people have had time to read of it.
_LOSS_SHOWN = timedelta(days=1)


def audit_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """Returns a problem for each host that lost records, and one if the syslog server lacks any.

    Raises:
        Transient: the database does not answer.
    """
    return [*_loss_problems(store, now), *_syslog_problems(settings, store, now)]


def recently_lost(store: Store, now: datetime) -> dict[str, LostRecords]:
    """Returns the records that each host has stated within the last day as lost.

    Raises:
        Transient: the database does not answer.
    """
    return store.lost_audit_records(now - _LOSS_SHOWN)


def _loss_problems(store: Store, now: datetime) -> list[Problem]:
    return [
        Problem(
            kind=ProblemKind.AUDIT_RECORDS_LOST,
            subject=host,
            urgency=Urgency.WARNING,
            text=(
                f"The audit trail lacks {_records(lost.count)} of {host} from "
                f"{_time(lost.first_at)} to {_time(lost.last_at)} (UTC): the database could not be "
                "written."
            ),
            remedy=(
                "Find out why: the log names error and action (audit.not_recorded). Nothing "
                "restores these records. This message ends after a day."
            ),
            since=lost.first_at,
        )
        for host, lost in recently_lost(store, now).items()
    ]


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _syslog_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
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
                f"The syslog server lacks {_records(count)} of the audit trail: {error}"
            ),
            remedy=(
                "Correct the server, the network or [audit.syslog]; nothing is lost, and the node "
                "sends them by itself."
            ),
            since=min(each.oldest_at for each in late),
        )
    ]
