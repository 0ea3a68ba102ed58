"""The health of each destination, the same for every host of the site."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.engine import Connection

from node.domain.delivery import DeliveryKey, DeliveryState
from node.domain.job import JobState
from node.domain.monitoring.destination_health import (
    DeliveryOutcome,
    DeliveryStage,
    DestinationHealth,
)
from node.domain.queues.pause import QueueKind
from node.store.monitoring.tables import DESTINATION_HEALTH
from node.store.repository import Repository
from node.store.schema import DELIVERIES, JOBS, PAUSED_QUEUES

# Deliveries in parallel fail together. Within this time they count as one failure in a row.
_SAME_FAILURE = timedelta(seconds=2)


class DestinationHealthRepository(Repository):
    """Outcomes of attempts by destination, and whether its failures have been reported."""

    def record_failure(
        self, destination: str, stage: DeliveryStage, error: str, now: datetime
    ) -> None:
        """Records an attempt that failed for a temporary reason."""
        with self._database.writing() as connection:
            row = self._locked_health(connection, destination)
            last = row.last_failed_at
            is_same = row.failures > 0 and last is not None and now - last < _SAME_FAILURE
            values: dict[str, object] = {
                "failing_since": row.failing_since or now,
                "failures": row.failures if is_same else row.failures + 1,
                "last_failed_at": last if is_same else now,
                "last_error": error,
                "failed_stage": stage,
                "failed_count": row.failed_count + 1,
            }
            _update_health(connection, destination, values)

    def record_answer(
        self,
        destination: str,
        stage: DeliveryStage,
        outcome: DeliveryOutcome | None,
        now: datetime,
    ) -> DestinationHealth | None:
        """Records that the destination answered, which ends its failures.

        `outcome` is None while the commitment is outstanding. An object that was only sent does
        not end the failures of storage commitment. Returns the health before, if its failures had
        been reported and end now.
        """
        with self._database.writing() as connection:
            row = self._locked_health(connection, destination)
            values: dict[str, object] = {"last_answered_at": now}
            if outcome is not None:
                column = f"{outcome}_count"
                values[column] = row._mapping[column] + 1
            ends = stage is DeliveryStage.COMMIT or row.failed_stage != DeliveryStage.COMMIT
            if ends:
                values |= {
                    "failing_since": None,
                    "failures": 0,
                    "last_error": "",
                    "failed_stage": "",
                    "attention_since": None,
                }
            _update_health(connection, destination, values)
        return _health(row) if ends and row.attention_since is not None else None

    def begin_attention(self, destination: str, now: datetime) -> bool:
        """Records that the failures are reported; False if they are already or have ended."""
        statement = (
            update(DESTINATION_HEALTH)
            .where(
                DESTINATION_HEALTH.c.destination == destination,
                DESTINATION_HEALTH.c.attention_since.is_(None),
                DESTINATION_HEALTH.c.failing_since.is_not(None),
            )
            .values(attention_since=now)
        )
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def end_attention(self, destination: str) -> bool:
        """Records that nothing waits for the destination any more; False if already recorded."""
        statement = (
            update(DESTINATION_HEALTH)
            .where(
                DESTINATION_HEALTH.c.destination == destination,
                DESTINATION_HEALTH.c.attention_since.is_not(None),
            )
            .values(attention_since=None)
        )
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def destination_health(self) -> dict[str, DestinationHealth]:
        """Returns the health of each destination with attempts, waiting deliveries or a pause.

        It is by name. Deliveries of jobs that have ended do not wait.
        """
        paused = select(PAUSED_QUEUES.c.destination).where(
            PAUSED_QUEUES.c.kind == QueueKind.DESTINATION
        )
        waiting = (
            select(DELIVERIES.c.destination, func.count(), func.min(DELIVERIES.c.next_try_at))
            .join(JOBS, JOBS.c.job_id == DELIVERIES.c.job_id)
            .where(DELIVERIES.c.state == DeliveryState.WAITING, JOBS.c.state == JobState.DELIVERING)
            .group_by(DELIVERIES.c.destination)
        )
        with self._database.reading() as connection:
            rows = connection.execute(select(DESTINATION_HEALTH)).all()
            by_key = connection.execute(waiting).all()
            paused_names = set(connection.execute(paused).scalars())
        found = {row.destination: _health(row) for row in rows}
        for key, count, next_attempt_at in by_key:
            name = DeliveryKey.parse(key).destination
            health = found.get(name, DestinationHealth(name))
            earlier = health.next_attempt_at
            found[name] = replace(
                health,
                waiting=health.waiting + count,
                next_attempt_at=next_attempt_at
                if earlier is None
                else min(earlier, next_attempt_at or earlier),
            )
        for name in paused_names:
            found[name] = replace(found.get(name, DestinationHealth(name)), is_paused=True)
        return found

    def _locked_health(self, connection: Connection, destination: str) -> Row[Any]:
        """Returns the row of the destination, which no other transaction changes meanwhile."""
        counters = ("failures", "delivered_count", "failed_count", "refused_count")
        row = {"destination": destination, "last_error": "", "failed_stage": ""}
        connection.execute(
            self._database.insert(DESTINATION_HEALTH)
            .values(row | dict.fromkeys(counters, 0))
            .on_conflict_do_nothing()
        )
        this = DESTINATION_HEALTH.c.destination == destination
        return connection.execute(select(DESTINATION_HEALTH).where(this).with_for_update()).one()


def _update_health(connection: Connection, destination: str, values: dict[str, object]) -> None:
    this = DESTINATION_HEALTH.c.destination == destination
    connection.execute(update(DESTINATION_HEALTH).where(this).values(values))


def _health(row: Row[Any]) -> DestinationHealth:
    return DestinationHealth(
        name=row.destination,
        failing_since=row.failing_since,
        failures=row.failures,
        last_error=row.last_error,
        last_answered_at=row.last_answered_at,
        attention_since=row.attention_since,
        delivered_count=row.delivered_count,
        failed_count=row.failed_count,
        refused_count=row.refused_count,
    )
