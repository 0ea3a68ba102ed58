"""Alerts: problems that people are informed of, once at the start and once at the end."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.domain.monitoring.problem import ProblemKind, Urgency


class AlertPhase(StrEnum):
    """What a message says about its alert; the values appear in messages."""

    STARTED = "started"
    ENDED = "ended"
    TEST = "test"


class AlertChannel(StrEnum):
    """The way in which messages are sent."""

    WEBHOOK = "webhook"
    MAIL = "mail"


@dataclass(frozen=True)
class Alert:
    """An alert as stored; it is open until `ended_at`. Its text is that of its start."""

    alert_id: int
    kind: ProblemKind
    subject: str
    urgency: Urgency
    text: str
    remedy: str
    started_at: datetime
    ended_at: datetime | None = None

    @property
    def key(self) -> str:
        """The key of its problem."""
        return f"{self.kind}:{self.subject}"


@dataclass(frozen=True)
class AlertMessage:
    """A message about an alert on its way through one channel."""

    message_id: int
    alert: Alert
    phase: AlertPhase
    channel: AlertChannel
    attempts: int
    last_error: str
