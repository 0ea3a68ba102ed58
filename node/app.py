"""Composition root: chooses the implementations of the worker by the settings."""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.installed_packages import installed
from models.manifest import InvalidPackage, ModelSpec
from node.alerts.monitoring import Monitoring, monitoring_from
from node.commitment.factory import commitment_requesters_from
from node.commitment.scp_reports import CommitmentReporter
from node.commitment.scu import CommitmentReports
from node.delivery.destination import Destination
from node.delivery.factory import destinations_from, wanted_objects
from node.dicom.results.comparison.coded_organ import comparable_models
from node.dicom.results.recommended_colours import with_recommended_colours
from node.dimse.scu import Remote
from node.domain.errors import Misconfigured
from node.domain.identifiers import AeTitle
from node.domain.result_texts import ResultTexts, SeriesNumberRule
from node.domain.retry_policy import RetryPolicy
from node.inference.loaded_models import LoadedModels
from node.inference.pool import InferencePool
from node.inference.process import InferenceProcess
from node.intake.inbox import Inbox
from node.intake.retriever import Retriever
from node.jobs.commit_step import CommitStep
from node.jobs.deliver_step import DeliverStep
from node.jobs.job_scheduling import JobScheduler
from node.jobs.other_results import OtherModels
from node.jobs.segment_step import SegmentStep
from node.jobs.series_completion import SeriesCompletion
from node.jobs.workflow import EngineOptions, Workflows
from node.maintenance.retention import Retention
from node.maintenance.search_index import SearchIndex
from node.retrieval.scheduled_query import ScheduledQuery
from node.retrieval.sources import retrieval_sources, searchable_source
from node.runtime.heartbeat import Membership, SingleWorker
from node.settings import Settings
from node.store import Store
from node.store.files.factory import open_files
from node.worklists.factory import Worklist, worklists_from


def utc_now() -> datetime:
    """The current time, time zone aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class App:
    """The components of a worker."""

    settings: Settings
    store: Store
    models: InferencePool
    workflows: Workflows
    series_completion: SeriesCompletion
    job_scheduler: JobScheduler
    retriever: Retriever
    queries: Mapping[str, ScheduledQuery]
    worklists: Mapping[str, Worklist]
    retention: Retention
    search_index: SearchIndex
    commitment_reporter: CommitmentReporter
    membership: Membership | None  # None for a single worker
    heartbeat: Membership | SingleWorker
    monitoring: Monitoring


def build(settings: Settings, slot: str) -> App:
    """Builds the worker of the slot `slot`; nothing runs yet.

    Raises:
        Misconfigured: a model or a secret that the configuration names is missing.
        Transient: the database does not answer.
    """
    specs = {model_id: coloured(settings, spec) for model_id, spec in _models(settings).items()}
    destinations = destinations_from(settings)
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    inbox = Inbox(store, settings.min_free_bytes)
    worker = settings.worker
    loaded = LoadedModels(specs, worker.device, worker.threads, result_texts(settings))
    models = InferencePool(
        lambda: InferenceProcess(loaded, worker.longest_inference_seconds, settings.log_level),
        worker.inferences_at_once,
        worker.most_of_model_at_once,
    )
    policy = _retry_policy(settings)
    segment_step = SegmentStep(
        store=store,
        infer=models.infer,
        installed_version=lambda model_id: specs[model_id].version,
        policy=policy,
        now=utc_now,
        jitter=random.random,
        wanted=wanted_objects(settings),
        rules={rule.name: rule for rule in settings.rules},
        other_models=OtherModels(store, comparable_models(specs), utc_now),
    )
    deliver_step, commit_step = _delivery(settings, store, destinations, policy)
    membership = None if settings.is_embedded else _membership(store, slot)
    name = slot if membership is None else membership.name
    workflows = Workflows(segment_step, deliver_step, commit_step, _engine_options(settings, name))
    return App(
        settings=settings,
        store=store,
        models=models,
        workflows=workflows,
        series_completion=SeriesCompletion(
            store=store,
            rules=settings.rules,
            quiet_seconds=settings.quiet_seconds,
            installed_version=lambda model_id: specs[model_id].version,
            now=utc_now,
        ),
        job_scheduler=JobScheduler(store, workflows, deliver_step, commit_step, utc_now),
        retriever=Retriever(retrieval_sources(settings, store), store, inbox, utc_now, policy),
        queries={name: _query(settings, store, name) for name in settings.queries},
        worklists=worklists_from(settings, store, utc_now, policy),
        search_index=SearchIndex(store, settings.web.search_patients, utc_now),
        commitment_reporter=_commitment_reporter(settings, store, policy),
        retention=Retention(store, settings.retention.keep, settings.retention.free_bytes, utc_now),
        membership=membership,
        heartbeat=SingleWorker(store, slot, utc_now) if membership is None else membership,
        monitoring=monitoring_from(settings, store, utc_now, compares_results=True),
    )


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


def _membership(store: Store, slot: str) -> Membership:
    return Membership(store, f"{slot}:{uuid.uuid4().hex[:8]}", slot, utc_now)


def _models(settings: Settings) -> Mapping[str, ModelSpec]:
    """Returns the installed models, among them those of every rule.

    Raises:
        Misconfigured: a package is invalid, or a rule names a model that is not installed.
    """
    try:
        specs = installed(settings.catalogues)
    except InvalidPackage as error:
        raise Misconfigured(str(error)) from error
    for rule in settings.rules:
        if rule.model not in specs:
            known = ", ".join(sorted(specs)) or "none"
            raise Misconfigured(
                f"rule {rule.name!r} names model {rule.model!r}; installed: {known}",
                file=settings.file,
                key="rules.model",
            )
    return specs


def coloured(settings: Settings, spec: ModelSpec) -> ModelSpec:
    """The model with the display colours that the settings choose."""
    if settings.result.colours == "recommended":
        return with_recommended_colours(spec)
    return spec


def result_texts(settings: Settings) -> ResultTexts:
    """The texts of results that the settings give."""
    result = settings.result
    return ResultTexts(
        series_description=result.series_description,
        series_number=SeriesNumberRule.parse(result.series_number),
        content_description=result.content_description,
        models=tuple(dict.fromkeys(rule.model for rule in settings.rules)),
    )


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
        peers={
            peer.ae_title: Remote(AeTitle(peer.ae_title), peer.host, peer.port)
            for peer in settings.peers.values()
        },
        calling=AeTitle(settings.listener.ae_title),
        policy=policy,
        now=utc_now,
    )


def _engine_options(settings: Settings, name: str) -> EngineOptions:
    """DBOS keeps its state beside the node's: in its own SQLite file, or in the same PostgreSQL."""
    own_file = f"sqlite:///{settings.data_dir.absolute() / 'dbos.sqlite'}"
    return EngineOptions(
        database_url=own_file if settings.is_embedded else settings.database_url,
        executor_id=name,
        poll_seconds=settings.worker.poll_seconds,
        inferences_at_once=settings.worker.inferences_at_once,
    )
