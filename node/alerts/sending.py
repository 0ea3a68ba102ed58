"""Sends the messages of alerts, each once, and retries those that a channel does not take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from node.alerts.channel import Channel
from node.alerts.message import content_of
from node.domain.errors import Transient
from node.domain.monitoring.alert import AlertChannel, AlertMessage
from node.domain.retry_policy import RetryPolicy
from node.store import Store

_LOG = structlog.get_logger()
# Longer than a channel can take; a process that dies while it sends delays the message by this.
_CLAIM = timedelta(minutes=5)
_RETRIES = RetryPolicy(first_s=10.0, max_s=1800.0, give_up_after=timedelta(days=7))


@dataclass
class AlertSender:
    """Sends the messages that are due. `jitter` is in [0, 1)."""

    store: Store
    channels: Mapping[AlertChannel, Channel]
    site: str
    now: Callable[[], datetime]
    jitter: Callable[[], float]
    _failing: set[AlertChannel] = field(default_factory=set)

    def poll(self) -> None:
        """Sends every message that is due; a channel that fails is left until its next attempt."""
        working = set(self.channels)
        while working:
            now = self.now()
            message = self.store.claim_message(working, now, now + _CLAIM)
            if message is None:
                return
            try:
                self.channels[message.channel].send(content_of(message, self.site))
            except Transient as error:
                working.discard(message.channel)
                self._record_failure(message, str(error))
                continue
            self.store.record_message_sent(message.message_id, self.now())
            if message.channel in self._failing:
                _LOG.info("alert.channel_recovered", channel=message.channel.value)
                self._failing.discard(message.channel)

    def _record_failure(self, message: AlertMessage, error: str) -> None:
        now = self.now()
        age = now - (message.alert.ended_at or message.alert.started_at)
        next_try_at = None
        if age < _RETRIES.give_up_after:
            wait_s = _RETRIES.delay_s(message.attempts + 1, self.jitter())
            next_try_at = now + timedelta(seconds=wait_s)
        self.store.record_message_failed(message.message_id, error, next_try_at)
        if message.channel not in self._failing:
            _LOG.error("alert.not_sent", channel=message.channel.value, error=error)
            self._failing.add(message.channel)
