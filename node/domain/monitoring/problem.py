"""A problem of the node: what is wrong, how urgent it is, and what to do about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Urgency(StrEnum):
    """How soon a person must act."""

    CRITICAL = "critical"  # nothing is received, or nothing is processed
    WARNING = "warning"  # some results do not arrive
    NOTICE = "notice"  # nothing is lost yet


_ORDER = tuple(Urgency)


class ProblemKind(StrEnum):
    """Kinds of problems; the values are stored and appear in messages."""

    STORAGE = "storage"
    DATABASE = "database"
    LISTENER_MISSING = "listener-missing"
    WORKER_MISSING = "worker-missing"
    DESTINATION_FAILING = "destination-failing"
    QUEUE_TOO_OLD = "queue-too-old"
    QUEUE_PAUSED = "queue-paused"
    DISK_LOW = "disk-low"
    JOB_PARKED = "job-parked"
    SERIES_INCOMPLETE = "series-incomplete"
    CERTIFICATE_EXPIRING = "certificate-expiring"
    TOKEN_EXPIRING = "token-expiring"  # noqa: S105 not a secret
    RESULTS_DRIFTING = "results-drifting"
    ALERT_NOT_SENT = "alert-not-sent"
    AUDIT_NOT_SENT = "audit-not-sent"
    AUDIT_RECORDS_LOST = "audit-records-lost"
    CONFIGURATION_NOT_USED = "configuration-not-used"
    UNTRUSTED_PROXY = "untrusted-proxy"


@dataclass(frozen=True)
class Problem:
    """A problem; `kind` and `subject` identify it as long as it lasts.

    `text` and `remedy` are sentences for an administrator, without patient data. `since` is None
    where nobody knows. `link` is the console page where a person can act.
    """

    kind: ProblemKind
    subject: str
    urgency: Urgency
    text: str
    remedy: str
    since: datetime | None = None
    link: str = ""

    @property
    def key(self) -> str:
        """Identifies the problem while it lasts."""
        return f"{self.kind}:{self.subject}"


def by_urgency(problem: Problem) -> tuple[int, float]:
    """Sorts problems: the most urgent first, then the oldest."""
    since = float("inf") if problem.since is None else problem.since.timestamp()
    return _ORDER.index(problem.urgency), since
