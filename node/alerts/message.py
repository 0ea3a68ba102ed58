"""The content of a message, as JSON for a webhook and as text for a person."""

import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node.domain.monitoring.alert import Alert, AlertMessage, AlertPhase
from node.settings import Settings

# The layout of the JSON, described in deploy/monitoring.md; raised by an incompatible change.
SCHEMA_VERSION = 1
_TEST_TEXT = "This is a test of the node's alerts."
_TEST_REMEDY = "Nothing needs to be done."


@dataclass(frozen=True)
class MessageContent:
    """What a channel sends. `message_id` is equal in every attempt at one message."""

    message_id: str
    phase: AlertPhase
    site: str
    kind: str
    subject: str
    urgency: str
    text: str
    remedy: str
    started_at: datetime
    ended_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """Returns the body of the webhook."""
        return {
            "version": SCHEMA_VERSION,
            "id": self.message_id,
            "event": self.phase.value,
            "site": self.site,
            "kind": self.kind,
            "subject": self.subject,
            "urgency": self.urgency,
            "text": self.text,
            "remedy": self.remedy,
            "started_at": _timestamp(self.started_at),
            "ended_at": None if self.ended_at is None else _timestamp(self.ended_at),
        }

    @property
    def title(self) -> str:
        """The subject line of an e-mail; one line of at most 150 characters."""
        prefix = {
            AlertPhase.STARTED: "",
            AlertPhase.ENDED: "Solved: ",
            AlertPhase.TEST: "Test: ",
        }[self.phase]
        line = f"[{self.site}] {prefix}{' '.join(self.text.split())}"
        return line if len(line) <= 150 else f"{line[:149]}…"

    @property
    def body(self) -> str:
        """The text of an e-mail."""
        lines = [self.text, ""]
        if self.phase is AlertPhase.ENDED and self.ended_at is not None:
            lines += ["This is over.", "", f"Began: {_timestamp(self.started_at)}"]
            lines += [f"Ended: {_timestamp(self.ended_at)}"]
        else:
            lines += [self.remedy, "", f"Began: {_timestamp(self.started_at)}"]
        return "\n".join([*lines, f"Node: {self.site}", f"Kind: {self.kind}", ""])


def content_of(message: AlertMessage, site: str) -> MessageContent:
    """Returns the content of a stored message."""
    alert: Alert = message.alert
    return MessageContent(
        message_id=f"{site}/{alert.alert_id}/{message.phase}",
        phase=message.phase,
        site=site,
        kind=alert.kind,
        subject=alert.subject,
        urgency=alert.urgency,
        text=alert.text,
        remedy=alert.remedy,
        started_at=alert.started_at,
        ended_at=alert.ended_at if message.phase is AlertPhase.ENDED else None,
    )


def content_of_test(site: str, now: datetime) -> MessageContent:
    """Returns the content of the test message."""
    return MessageContent(
        message_id=f"{site}/test/{now:%Y%m%d%H%M%S}",
        phase=AlertPhase.TEST,
        site=site,
        kind="test",
        subject="",
        urgency="notice",
        text=_TEST_TEXT,
        remedy=_TEST_REMEDY,
        started_at=now,
        ended_at=None,
    )


def site_name(settings: Settings) -> str:
    """Returns the node's name in messages."""
    return settings.alerts.site or f"{settings.listener.ae_title} on {socket.gethostname()}"


def _timestamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
