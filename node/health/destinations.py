"""Which destinations need attention, and one log line when one starts to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from node.domain.monitoring.destination_health import AttentionPolicy, DestinationHealth
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.texts.sentences import sentence_end
from node.settings import Settings
from node.store import Store

_LOG = structlog.get_logger()


def attention_policy(settings: Settings) -> AttentionPolicy:
    """Returns when a destination needs attention at this site."""
    monitoring = settings.monitoring
    return AttentionPolicy(monitoring.attention_after_failures, monitoring.attention_time)


def health_of_destinations(settings: Settings, store: Store) -> tuple[DestinationHealth, ...]:
    """Returns the health of the configured destinations, and of others with waiting deliveries.

    Raises:
        Transient: the database does not answer.
    """
    found = store.destination_health()
    configured = [found.pop(name, DestinationHealth(name)) for name in settings.destinations]
    return (*configured, *(health for health in found.values() if health.waiting))


def needs_attention(health: DestinationHealth, policy: AttentionPolicy, now: datetime) -> bool:
    """Whether the destination needs attention, reported or not."""
    return health.needs_attention or policy.is_met(health, now)


def destination_problems(
    destinations: Iterable[DestinationHealth], policy: AttentionPolicy, now: datetime
) -> list[Problem]:
    """Returns a problem for each destination that needs attention."""
    return [
        Problem(
            kind=ProblemKind.DESTINATION_FAILING,
            subject=health.name,
            urgency=Urgency.WARNING,
            text=sentence_end(
                f"The destination {health.name} does not take results: {health.last_error}"
            ),
            remedy=(
                "Correct the cause. The node continues by itself as soon as it can, and discards "
                "nothing."
            ),
            since=health.failing_since,
        )
        for health in destinations
        if needs_attention(health, policy, now)
    ]


@dataclass(frozen=True)
class DestinationWatch:
    """Records and logs when a destination starts to need attention; any process may do it."""

    store: Store
    policy: AttentionPolicy
    now: Callable[[], datetime]

    def poll(self) -> None:
        """Logs one warning for each destination whose failures have lasted long enough."""
        now = self.now()
        for health in self.store.destination_health().values():
            if health.attention_since is None:
                if self.policy.is_met(health, now):
                    self._begin(health, now)
            elif health.waiting == 0 and self.store.end_attention(health.name):
                # It still fails, but a person has discarded or redirected what waited for it.
                _LOG.info("destination.unused", destination=health.name)

    def _begin(self, health: DestinationHealth, now: datetime) -> None:
        if self.store.begin_attention(health.name, now) and health.failing_since is not None:
            _LOG.warning(
                "destination.failing",
                destination=health.name,
                error=health.last_error,
                failures=health.failures,
                failing_for_s=round((now - health.failing_since).total_seconds()),
                waiting=health.waiting,
            )
