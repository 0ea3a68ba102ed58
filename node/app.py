"""Composition root: chooses the implementations of the worker by its settings."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.installed_packages import InstalledPackages
from node.alerts.monitoring import Monitoring, monitoring_from
from node.audit.forwarding import AuditForwarder
from node.audit.syslog import SyslogServer
from node.commitment.factory import commitment_requesters_from
from node.commitment.scp_reports import CommitmentReporter
from node.commitment.scu import CommitmentReports
from node.delivery.destination import Destination
from node.delivery.factory import destinations_from, wanted_objects
from node.dicom.results.comparison.coded_organ import comparable_models
from node.dimse.remotes import remote_of_peer
from node.dimse.tls.certificate_files import check_certificates
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.connections.seen_certificate import PeerRole
from node.domain.identifiers import AeTitle
from node.domain.retry_policy import RetryPolicy
from node.evaluation.feedback_comparison import FeedbackComparer
from node.evaluation.shadow_runs import ShadowRunner
from node.inference.configured_models import (
    Inference,
    configured_models,
    result_texts,
    rules_with_installed_names,
)
from node.inference.pool import InferencePool
from node.intake.inbox import Inbox
from node.intake.retriever import Retriever
from node.jobs.commit_step import CommitStep
from node.jobs.deliver_step import DeliverStep
from node.jobs.early.early_runs import EarlyRuns
from node.jobs.early.early_start import EarlyStart
from node.jobs.other_results import OtherModels
from node.jobs.quiet_time import no_hints
from node.jobs.segment_step import SegmentStep
from node.jobs.series_completion import SeriesCompletion
from node.jobs.workflow import EngineOptions, JobSteps
from node.maintenance.audit_retention import AuditRetention
from node.maintenance.retention import Retention
from node.maintenance.search_index import SearchIndex
from node.retrieval.scheduled_query import ScheduledQuery
from node.retrieval.sources import retrieval_sources, searchable_source
from node.routing.rules import Rule
from node.settings import Settings
from node.store import Store
from node.worklists.factory import Worklist, worklists_from

# A shadow run also loads the model, reads the images and compares.
_SHADOW_OVERHEAD = timedelta(minutes=20)


def utc_now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class App:
    """The components of a worker that its configuration makes: another one replaces them all."""

    settings: Settings
    inference: Inference
    models: InferencePool
    steps: JobSteps
    engine: EngineOptions
    series_completion: SeriesCompletion
    early_runs: EarlyRuns
    early_start: EarlyStart | None
    retriever: Retriever
    queries: Mapping[str, ScheduledQuery]
    worklists: Mapping[str, Worklist]
    retention: Retention
    audit_retention: AuditRetention
    audit_forwarder: AuditForwarder
    search_index: SearchIndex
    commitment_reporter: CommitmentReporter
    monitoring: Monitoring
    shadow_runner: ShadowRunner
    feedback_comparer: FeedbackComparer
    certificates: SeenCertificates

    @property
    def wanted_models(self) -> list[str]:
        """The models of the rules, which a worker loads before it starts."""
        return list(dict.fromkeys(rule.model for rule in self.settings.rules if rule.enabled))


def build(settings: Settings, store: Store, name: str, current: App | None = None) -> App:
    """Builds the components of the worker `name`; nothing runs yet.

    It shares the inference processes of `current` where they would be the same.

    Raises:
        Misconfigured: a model or a secret that the configuration names is missing, or a certificate
            cannot be used.
    """
    check_certificates(settings, utc_now())
    specs = configured_models(settings)
    rules = rules_with_installed_names(settings, specs)
    by_name = {rule.name: rule for rule in rules}
    inference = Inference(specs, settings.worker, result_texts(settings), settings.log_level)
    is_same = current is not None and current.inference == inference
    models = current.models if current is not None and is_same else inference.pool()
    policy = _retry_policy(settings)
    certificates = SeenCertificates(store, utc_now, PeerRole.RECEIVER)
    kept_runs = current.early_runs if current is not None and is_same else None
    early_runs = kept_runs or EarlyRuns(store, models, utc_now)
    steps = _job_steps(settings, store, inference, early_runs, by_name, certificates=certificates)
    completion = _series_completion(settings, store, rules, specs, early_runs)
    return App(
        settings=settings,
        inference=inference,
        models=models,
        steps=steps,
        certificates=certificates,
        engine=_engine_options(settings, name),
        series_completion=completion,
        early_runs=early_runs,
        early_start=EarlyStart(store, completion, early_runs, steps.segment, utc_now)
        if settings.worker.early_start
        else None,
        retriever=_retriever(settings, store, certificates, policy),
        queries={name: _query(settings, store, name) for name in settings.queries},
        worklists=worklists_from(settings, store, utc_now, policy),
        search_index=SearchIndex(store, settings.web.search_patients, utc_now),
        commitment_reporter=_commitment_reporter(settings, store, policy),
        retention=Retention(store, settings.retention.keep, settings.retention.free_bytes, utc_now),
        audit_retention=_audit_retention(settings, store),
        audit_forwarder=AuditForwarder(store, _syslog_server(settings)),
        monitoring=monitoring_from(settings, store, utc_now, compares_results=True),
        shadow_runner=_shadow_runner(settings, store, models, specs, by_name),
        feedback_comparer=FeedbackComparer(store, by_name, utc_now),
    )


def _job_steps(
    settings: Settings,
    store: Store,
    inference: Inference,
    early_runs: EarlyRuns,
    rules: Mapping[str, Rule],
    *,
    certificates: SeenCertificates,
) -> JobSteps:
    specs, policy = inference.specs, _retry_policy(settings)
    segment_step = SegmentStep(
        store=store,
        infer=early_runs.infer,
        installed_version=lambda name: specs.find(name).version,
        policy=policy,
        now=utc_now,
        jitter=random.random,
        wanted=wanted_objects(settings),
        rules=rules,
        other_models=OtherModels(store, comparable_models(specs.values()), utc_now),
    )
    destinations = destinations_from(settings, certificates)
    deliver_step, commit_step = _delivery(settings, store, destinations, policy)
    return JobSteps(segment_step, deliver_step, commit_step)


def _series_completion(
    settings: Settings,
    store: Store,
    rules: Sequence[Rule],
    specs: InstalledPackages,
    early_runs: EarlyRuns,
) -> SeriesCompletion:
    has_hints = any(peer.complete_on for peer in settings.peers.values())
    return SeriesCompletion(
        store=store,
        rules=rules,
        quiet_seconds=settings.quiet_seconds,
        installed_version=lambda name: specs.find(name).version,
        now=utc_now,
        began_at=early_runs.began_at,
        hinted=store.hinted_series if has_hints else no_hints,
    )


def _retriever(
    settings: Settings, store: Store, certificates: SeenCertificates, policy: RetryPolicy
) -> Retriever:
    return Retriever(
        retrieval_sources(settings, store, certificates),
        store,
        Inbox(store, settings.min_free_bytes, settings.image_digest),
        utc_now,
        policy,
    )


def _shadow_runner(
    settings: Settings,
    store: Store,
    models: InferencePool,
    specs: InstalledPackages,
    rules: Mapping[str, Rule],
) -> ShadowRunner:
    inference = timedelta(seconds=settings.worker.longest_inference_seconds)
    return ShadowRunner(
        store=store,
        infer_if_idle=models.infer_if_idle,
        packages=specs,
        rules=rules,
        timeout=inference + _SHADOW_OVERHEAD,
        now=utc_now,
    )


def _audit_retention(settings: Settings, store: Store) -> AuditRetention:
    has_syslog = settings.audit.syslog is not None
    return AuditRetention(store, settings.retention.keep_audit, utc_now, only_sent=has_syslog)


def _syslog_server(settings: Settings) -> SyslogServer | None:
    options = settings.audit.syslog
    return None if options is None else SyslogServer.of(options)


def _retry_policy(settings: Settings) -> RetryPolicy:
    delivery = settings.delivery
    return RetryPolicy(
        first_s=delivery.first_retry_seconds,
        max_s=delivery.longest_retry_seconds,
        give_up_after=timedelta(hours=delivery.give_up_after_hours),
    )


def _delivery(
    settings: Settings,
    store: Store,
    destinations: Mapping[str, Destination],
    policy: RetryPolicy,
) -> tuple[DeliverStep, CommitStep]:
    """The steps that deliver results and request storage commitment."""
    requesters = commitment_requesters_from(settings, CommitmentReports(store, utc_now))
    deliver_step = DeliverStep(
        store=store,
        destinations=destinations,
        policy=policy,
        now=utc_now,
        jitter=random.random,
        wanted=wanted_objects(settings),
        committing={name: str(requester.remote.ae_title) for name, requester in requesters.items()},
        give_up_after={
            name: timedelta(hours=destination.give_up_after_hours)
            for name, destination in settings.destinations.items()
            if destination.give_up_after_hours is not None
        },
    )
    timeout = timedelta(seconds=settings.delivery.longest_commitment_seconds)
    return deliver_step, CommitStep(store, deliver_step, requesters, timeout, utc_now)


def _query(settings: Settings, store: Store, name: str) -> ScheduledQuery:
    options = settings.queries[name]
    return ScheduledQuery(
        name=name,
        source=searchable_source(settings, options.source),
        modality=options.modality,
        lookback_days=options.lookback_days,
        max_open_retrievals=options.max_open_retrievals,
        store=store,
        now=utc_now,
    )


def _commitment_reporter(
    settings: Settings, store: Store, policy: RetryPolicy
) -> CommitmentReporter:
    return CommitmentReporter(
        store=store,
        peers={peer.ae_title: remote_of_peer(peer, settings) for peer in settings.peers.values()},
        calling=AeTitle(settings.listener.ae_title),
        policy=policy,
        now=utc_now,
    )


def _engine_options(settings: Settings, name: str) -> EngineOptions:
    """DBOS keeps its state beside the node's: in its own SQLite file, or in the same PostgreSQL."""
    own_file = f"sqlite:///{settings.engine_file}"
    return EngineOptions(
        database_url=own_file if settings.is_embedded else settings.database_url,
        database_password=settings.database_password,
        executor_id=name,
        poll_seconds=settings.worker.poll_seconds,
        inferences_at_once=settings.worker.inferences_at_once,
    )
