"""Records how destinations answer, and logs once when one that needed attention answers again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from node.domain.monitoring.destination_health import DeliveryOutcome, DeliveryStage
from node.store import Store

_LOG = structlog.get_logger()


@dataclass(frozen=True)
class DestinationHealthRecorder:
    """Records the outcome of each attempt at a delivery for the health of its destination."""

    store: Store
    now: Callable[[], datetime]

    def record_failure(
        self, destination: str, error: str, stage: DeliveryStage = DeliveryStage.SEND
    ) -> None:
        """Records that the destination did not answer, or asked to send again later."""
        self.store.record_failure(destination, stage, error, self.now())

    def record_answer(
        self,
        destination: str,
        outcome: DeliveryOutcome | None,
        stage: DeliveryStage = DeliveryStage.SEND,
    ) -> None:
        """Records that the destination answered; `outcome` is None while commitment is due."""
        now = self.now()
        before = self.store.record_answer(destination, stage, outcome, now)
        if before is not None and before.failing_since is not None:
            failed_s = (now - before.failing_since).total_seconds()
            _LOG.info("destination.recovered", destination=destination, failed_s=round(failed_s))
