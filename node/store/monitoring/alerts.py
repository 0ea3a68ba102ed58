"""Alerts and their messages. Any number of processes may use them; each message is sent once."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Update, and_, delete, exists, select, update
from sqlalchemy.engine import Connection

from node.domain.monitoring.alert import Alert, AlertChannel, AlertMessage, AlertPhase
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.store.monitoring.tables import ALERT_MESSAGES, ALERTS
from node.store.repository import Repository

_UNSENT = ALERT_MESSAGES.c.sent_at.is_(None)


class Alerts(Repository):
    """The alerts of the site; an alert and its messages appear in the same transaction."""

    def open_alerts(self) -> tuple[Alert, ...]:
        """Returns the alerts that have not ended, oldest first."""
        query = select(ALERTS).where(ALERTS.c.ended_at.is_(None)).order_by(ALERTS.c.alert_id)
        with self._database.reading() as connection:
            return tuple(_alert(row) for row in connection.execute(query))

    def latest_alerts(self, limit: int) -> tuple[Alert, ...]:
        """Returns the latest alerts, newest first."""
        newest_first = (ALERTS.c.started_at.desc(), ALERTS.c.alert_id.desc())
        query = select(ALERTS).order_by(*newest_first).limit(limit)
        with self._database.reading() as connection:
            return tuple(_alert(row) for row in connection.execute(query))

    def start_alert(
        self, problem: Problem, channels: Sequence[AlertChannel], now: datetime
    ) -> Alert | None:
        """Opens an alert with a message for each channel; None if there is one already."""
        values = {
            "kind": problem.kind,
            "subject": problem.subject,
            "open_key": problem.key,
            "urgency": problem.urgency,
            "text": problem.text,
            "remedy": problem.remedy,
            "started_at": now,
        }
        with self._database.writing() as connection:
            row = connection.execute(
                self._database.insert(ALERTS)
                .values(values)
                .on_conflict_do_nothing()
                .returning(ALERTS)
            ).first()
            if row is None:
                return None
            for channel in channels:
                _add_message(connection, row.alert_id, AlertPhase.STARTED, channel, now)
        return _alert(row)

    def end_alert(self, alert_id: int, now: datetime) -> Alert | None:
        """Ends an alert, with a message to each channel that has one about its start.

        Returns None if the alert has ended already.
        """
        change = (
            update(ALERTS)
            .where(ALERTS.c.alert_id == alert_id, ALERTS.c.ended_at.is_(None))
            .values(ended_at=now, open_key=None)
            .returning(ALERTS)
        )
        started = select(ALERT_MESSAGES.c.channel).where(
            ALERT_MESSAGES.c.alert_id == alert_id, ALERT_MESSAGES.c.phase == AlertPhase.STARTED
        )
        with self._database.writing() as connection:
            row = connection.execute(change).first()
            if row is None:
                return None
            for channel in connection.execute(started).scalars().all():
                _add_message(connection, alert_id, AlertPhase.ENDED, AlertChannel(channel), now)
        return _alert(row)

    def claim_message(
        self, channels: Collection[AlertChannel], now: datetime, claimed_until: datetime
    ) -> AlertMessage | None:
        """Returns the next message that is due, which no other process gets before `claimed_until`.

        The message about the end of an alert follows the one about its start.
        """
        earlier = ALERT_MESSAGES.alias("earlier")
        waits_for_start = exists().where(
            earlier.c.alert_id == ALERT_MESSAGES.c.alert_id,
            earlier.c.channel == ALERT_MESSAGES.c.channel,
            earlier.c.message_id < ALERT_MESSAGES.c.message_id,
            earlier.c.sent_at.is_(None),
            earlier.c.next_try_at.is_not(None),
        )
        due = (
            select(ALERT_MESSAGES.c.message_id)
            .where(
                _UNSENT,
                ALERT_MESSAGES.c.next_try_at <= now,
                ALERT_MESSAGES.c.channel.in_(list(channels)),
                ~waits_for_start,
            )
            .order_by(ALERT_MESSAGES.c.message_id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        with self._database.writing() as connection:
            message_id = connection.execute(due).scalar_one_or_none()
            if message_id is None:
                return None
            connection.execute(_message_update(message_id).values(next_try_at=claimed_until))
            query = select(ALERT_MESSAGES, ALERTS).join(ALERTS)
            row = connection.execute(query.where(_is_message(message_id))).one()
        return _message(row)

    def record_message_sent(self, message_id: int, now: datetime) -> None:
        """Records that the channel took the message. Final."""
        values = {"sent_at": now, "next_try_at": None, "last_error": ""}
        change = _message_update(message_id).values(attempts=ALERT_MESSAGES.c.attempts + 1)
        with self._database.writing() as connection:
            connection.execute(change.values(values))

    def record_message_failed(
        self, message_id: int, error: str, next_try_at: datetime | None
    ) -> None:
        """Records a failed attempt and when the next is due; None if none follows."""
        values = {"last_error": error, "next_try_at": next_try_at}
        change = _message_update(message_id).values(attempts=ALERT_MESSAGES.c.attempts + 1)
        with self._database.writing() as connection:
            connection.execute(change.values(values))

    def failed_messages(self) -> tuple[AlertMessage, ...]:
        """Returns the messages that wait for another attempt, oldest first."""
        query = (
            select(ALERT_MESSAGES, ALERTS)
            .join(ALERTS)
            .where(_UNSENT, ALERT_MESSAGES.c.next_try_at.is_not(None))
            .where(ALERT_MESSAGES.c.last_error != "")
            .order_by(ALERT_MESSAGES.c.message_id)
        )
        with self._database.reading() as connection:
            return tuple(_message(row) for row in connection.execute(query))

    def remove_old_alerts(self, before: datetime) -> None:
        """Deletes the alerts that ended before `before`, with their messages."""
        old = and_(ALERTS.c.ended_at.is_not(None), ALERTS.c.ended_at < before)
        ids = select(ALERTS.c.alert_id).where(old)
        with self._database.writing() as connection:
            connection.execute(delete(ALERT_MESSAGES).where(ALERT_MESSAGES.c.alert_id.in_(ids)))
            connection.execute(delete(ALERTS).where(old))


def _add_message(
    connection: Connection,
    alert_id: int,
    phase: AlertPhase,
    channel: AlertChannel,
    now: datetime,
) -> None:
    connection.execute(
        ALERT_MESSAGES.insert().values(
            alert_id=alert_id,
            phase=phase,
            channel=channel,
            attempts=0,
            next_try_at=now,
            last_error="",
        )
    )


def _is_message(message_id: int) -> ColumnElement[bool]:
    return ALERT_MESSAGES.c.message_id == message_id


def _message_update(message_id: int) -> Update:
    return update(ALERT_MESSAGES).where(_is_message(message_id))


def _alert(row: Row[Any]) -> Alert:
    return Alert(
        alert_id=row.alert_id,
        kind=ProblemKind(row.kind),
        subject=row.subject,
        urgency=Urgency(row.urgency),
        text=row.text,
        remedy=row.remedy,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _message(row: Row[Any]) -> AlertMessage:
    return AlertMessage(
        message_id=row.message_id,
        alert=_alert(row),
        phase=AlertPhase(row.phase),
        channel=AlertChannel(row.channel),
        attempts=row.attempts,
        last_error=row.last_error,
    )
