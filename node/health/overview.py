"""The state of the site at a glance: problems, activity, turnaround, senders, machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from shutil import disk_usage
from statistics import median

from node.domain.errors import Transient
from node.domain.job import JobState
from node.domain.monitoring.alert import Alert
from node.domain.monitoring.destination_health import AttentionPolicy, DestinationHealth
from node.domain.monitoring.problem import Problem, ProblemKind
from node.domain.series import SeriesState
from node.health.destinations import attention_policy, health_of_destinations
from node.health.problems import current_problems
from node.health.untrusted_proxies import untrusted_proxy_problems
from node.settings import Settings
from node.store import Store
from node.store.monitoring.activity import Activity, Sender
from node.store.site.workers import Worker

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Senders that have been silent for longer are left out.
SENDERS_FOR = timedelta(days=30)
_MAX_ALERTS = 10


@dataclass(frozen=True)
class Turnaround:
    """Seconds from last image to delivery, over the jobs delivered in the last 24 hours."""

    jobs: int
    median_s: float
    percentile_95_s: float


@dataclass(frozen=True)
class Disk:
    """The disk of the data folder; `free_bytes` is None if the storage does not report it."""

    free_bytes: int | None
    total_bytes: int | None


@dataclass(frozen=True)
class Queues:
    """What waits or runs now; `oldest_queued_at` is since when a job waits for the model."""

    receiving: int
    queued: int
    running: int
    delivering: int
    parked: int
    oldest_queued_at: datetime | None


@dataclass(frozen=True)
class Overview:
    """The site as the database knows it. `today` began at midnight, in the node's time zone."""

    queues: Queues
    last_hour: Activity
    today: Activity
    turnaround: Turnaround | None
    senders: tuple[Sender, ...]
    destinations: tuple[DestinationHealth, ...]
    policy: AttentionPolicy
    workers: tuple[Worker, ...]
    disk: Disk
    alerts: tuple[Alert, ...]


@dataclass(frozen=True)
class SiteState:
    """All problems, and the overview unless the database does not answer."""

    problems: tuple[Problem, ...]
    overview: Overview | None
    at: datetime


def site_state(settings: Settings, store: Store, now: datetime) -> SiteState:
    """Returns the state of the site at `now`."""
    problems = (
        *current_problems(settings, store, now, drift=_open_drift(store)),
        *untrusted_proxy_problems(settings, now),
    )
    try:
        return SiteState(problems, overview(settings, store, now), now)
    except Transient:  # it is among the problems
        return SiteState(problems, None, now)


def overview(settings: Settings, store: Store, now: datetime) -> Overview:
    """Returns the overview.

    Raises:
        Transient: the database does not answer.
    """
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    return Overview(
        queues=_queues(store),
        last_hour=store.activity_since(now - _HOUR),
        today=store.activity_since(midnight),
        turnaround=turnaround_of(store.turnarounds_s(now - _DAY)),
        senders=tuple(store.senders_since(now - SENDERS_FOR)),
        destinations=health_of_destinations(settings, store),
        policy=attention_policy(settings),
        workers=tuple(store.workers()),
        disk=_disk(settings, store),
        alerts=store.latest_alerts(_MAX_ALERTS),
    )


def turnaround_of(durations_s: Sequence[float]) -> Turnaround | None:
    """Returns median and 95th percentile (nearest rank); None without any duration."""
    if not durations_s:
        return None
    ordered = sorted(durations_s)
    rank = ceil(0.95 * len(ordered))
    return Turnaround(len(ordered), median(ordered), ordered[rank - 1])


def _queues(store: Store) -> Queues:
    series, jobs = store.count_series(), store.count_jobs()
    return Queues(
        receiving=series[SeriesState.RECEIVING],
        queued=jobs[JobState.QUEUED],
        running=jobs[JobState.RUNNING],
        delivering=jobs[JobState.DELIVERING],
        parked=jobs[JobState.PARKED],
        oldest_queued_at=store.oldest_queued_at(),
    )


def _disk(settings: Settings, store: Store) -> Disk:
    try:
        free = store.files.free_bytes()
        return Disk(free, None if free is None else disk_usage(settings.data_dir).total)
    except (Transient, OSError):
        return Disk(None, None)


def _open_drift(store: Store) -> list[Problem]:
    """Returns the changes of results for which an alert is open.

    The comparison itself takes seconds and runs beside the alerts.
    """
    try:
        alerts = store.open_alerts()
    except Transient:
        return []
    return [
        Problem(a.kind, a.subject, a.urgency, a.text, a.remedy, a.started_at)
        for a in alerts
        if a.kind is ProblemKind.RESULTS_DRIFTING
    ]
