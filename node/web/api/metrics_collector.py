"""Collects the metrics of the site from the store."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from node.domain.errors import Transient
from node.domain.monitoring.destination_health import DeliveryOutcome
from node.domain.monitoring.problem import ProblemKind
from node.health.audit import recently_lost
from node.health.destinations import attention_policy, health_of_destinations, needs_attention
from node.health.parts import part_problems
from node.settings import Settings
from node.store import Store
from node.store.monitoring.stage_durations import BUCKETS_S

_PARTS = {
    "database": ProblemKind.DATABASE,
    "storage": ProblemKind.STORAGE,
    "listener": ProblemKind.LISTENER_MISSING,
    "worker": ProblemKind.WORKER_MISSING,
}


@dataclass(frozen=True, eq=False)  # the registry wants it hashable, and settings are not
class SiteCollector:
    """A collector of prometheus-client for one scrape at `now`."""

    settings: Settings
    store: Store
    now: datetime

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics; without a database, those that need none."""
        yield InfoMetricFamily("segnode_build", "The version.", {"version": version("segnode")})
        broken = {problem.kind for problem in part_problems(self.settings, self.store, self.now)}
        healthy = GaugeMetricFamily(
            "segnode_part_healthy",
            "Whether a part of the node works (1) or not (0).",
            None,
            ["part"],
        )
        for part, kind in _PARTS.items():
            healthy.add_metric([part], float(kind not in broken))
        yield healthy
        yield from self._disk()
        try:
            yield from [*self._states(), *self._destinations(), *self._workers(), *self._alerts()]
            yield from [*self._queue(), *self._stages(), *self._rejections(), *self._audit()]
        except Transient:
            return  # segnode_part_healthy shows it

    def _disk(self) -> Iterator[Metric]:
        try:
            free = self.store.files.free_bytes()
        except Transient:
            return
        if free is not None:
            yield _gauge("segnode_disk_free_bytes", "Free space for images and results.", free)
        yield _gauge(
            "segnode_disk_reserved_bytes",
            "Free space below which nothing is received.",
            self.settings.min_free_bytes,
        )

    def _states(self) -> Iterator[Metric]:
        series = GaugeMetricFamily("segnode_series", "Series by state.", None, ["state"])
        for series_state, count in self.store.count_series().items():
            series.add_metric([series_state.value], count)
        yield series
        jobs = GaugeMetricFamily("segnode_jobs", "Jobs by state.", None, ["state"])
        for job_state, count in self.store.count_jobs().items():
            jobs.add_metric([job_state.value], count)
        yield jobs

    def _queue(self) -> Iterator[Metric]:
        oldest = self.store.oldest_queued_at()
        age_s = 0.0 if oldest is None else max(0.0, (self.now - oldest).total_seconds())
        yield _gauge(
            "segnode_queue_oldest_age_seconds",
            "Time that the oldest queued job has waited; 0 without one.",
            age_s,
        )
        yield _gauge(
            "segnode_inference_paused",
            "Whether a person has paused the inference (1).",
            float(self.store.is_inference_paused()),
        )

    def _destinations(self) -> Iterator[Metric]:
        policy = attention_policy(self.settings)
        attempts = CounterMetricFamily(
            "segnode_deliveries", "Attempts at deliveries.", None, ["destination", "outcome"]
        )
        up = _by_destination("segnode_destination_up", "Whether the last attempt succeeded (1).")
        attention = _by_destination(
            "segnode_destination_needs_attention", "Whether it has failed for some time (1)."
        )
        failing = _by_destination(
            "segnode_destination_failing_seconds", "Time for which it has failed; 0 if it does not."
        )
        waiting = _by_destination(
            "segnode_destination_waiting_deliveries", "Deliveries that wait for it."
        )
        paused = _by_destination(
            "segnode_destination_paused", "Whether a person has paused it (1)."
        )
        for health in health_of_destinations(self.settings, self.store):
            counts = {
                DeliveryOutcome.DELIVERED: health.delivered_count,
                DeliveryOutcome.FAILED: health.failed_count,
                DeliveryOutcome.REFUSED: health.refused_count,
            }
            for outcome, count in counts.items():
                attempts.add_metric([health.name, outcome.value], count)
            label = [health.name]
            up.add_metric(label, float(not health.is_failing))
            attention.add_metric(label, float(needs_attention(health, policy, self.now)))
            since = health.failing_since
            failing.add_metric(
                label, 0.0 if since is None else max(0.0, (self.now - since).total_seconds())
            )
            waiting.add_metric(label, health.waiting)
            paused.add_metric(label, float(health.is_paused))
        yield from (attempts, up, attention, failing, waiting, paused)

    def _workers(self) -> Iterator[Metric]:
        heartbeat = GaugeMetricFamily(
            "segnode_worker_last_heartbeat_timestamp_seconds",
            "Time of a worker's last heartbeat, in seconds since 1970.",
            None,
            ["worker"],
        )
        for worker in self.store.workers():
            heartbeat.add_metric([worker.slot], worker.last_heartbeat_at.timestamp())
        yield heartbeat

    def _alerts(self) -> Iterator[Metric]:
        found = Counter(alert.kind for alert in self.store.open_alerts())
        alerts = GaugeMetricFamily(
            "segnode_alerts_active", "Alerts that have not ended.", None, ["kind"]
        )
        for kind in ProblemKind:
            alerts.add_metric([kind.value], found[kind])
        yield alerts
        yield _gauge(
            "segnode_alert_messages_failing",
            "Messages about alerts that a channel did not take and that are retried.",
            len(self.store.failed_messages()),
        )

    def _stages(self) -> Iterator[Metric]:
        stages = HistogramMetricFamily(
            "segnode_stage_duration_seconds",
            "Time of each stage of the delivered jobs.",
            labels=["model", "stage"],
        )
        for histogram in self.store.stage_durations():
            bounds = [*(str(bound) for bound in BUCKETS_S), "+Inf"]
            buckets = list(zip(bounds, accumulate(histogram.bucket_counts), strict=True))
            stages.add_metric([histogram.model_id, histogram.stage], buckets, histogram.sum_s)
        yield stages

    def _rejections(self) -> Iterator[Metric]:
        associations = CounterMetricFamily(
            "segnode_listener_rejected_associations",
            "Associations that the listener has rejected.",
            None,
            ["reason"],
        )
        parts = CounterMetricFamily(
            "segnode_listener_rejected_requests",
            "Presentation contexts and C-STORE requests that the listener has rejected.",
            None,
            ["reason"],
        )
        for reason, count in self.store.rejection_counts().items():
            family = associations if reason.ends_association else parts
            family.add_metric([reason.value], count)
        yield from (associations, parts)

    def _audit(self) -> Iterator[Metric]:
        lost = recently_lost(self.store, self.now)
        yield _gauge(
            "segnode_audit_records_lost",
            "Records that the audit trail lacks, as it stated within the last day.",
            sum(each.count for each in lost.values()),
        )
        has_server = self.settings.audit.syslog is not None
        yield _gauge(
            "segnode_audit_records_waiting",
            "Records of the audit trail that wait for the syslog server; 0 without one.",
            sum(each.count for each in self.store.waiting_audit_records()) if has_server else 0,
        )


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value)


def _by_destination(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, None, ["destination"])
