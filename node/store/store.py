"""The store: one object that combines all repositories over one database."""

from pathlib import Path
from typing import Self

from node.settings.credentials.secret_source import SecretSource
from node.settings.location import refuse_unfinished_restore
from node.store.access.api_tokens import ApiTokens
from node.store.access.external_users import ExternalUsers
from node.store.access.login_failures import LoginFailures
from node.store.access.one_time_codes import OneTimeCodes
from node.store.access.sessions import Sessions
from node.store.access.users import Users
from node.store.audit_trail.forwarding import AuditForwarding
from node.store.audit_trail.removal import AuditRemoval
from node.store.audit_trail.searching import AuditSearches
from node.store.audit_trail.trail import AuditRecords
from node.store.changes import DatabaseChanges
from node.store.commitment.received import ReceivedCommitments
from node.store.commitment.requested import RequestedCommitments
from node.store.configuration.processes import ConfiguredProcesses
from node.store.configuration.revisions import Revisions
from node.store.connections.certificates import PeerCertificates
from node.store.connections.rejected import RejectedConnections
from node.store.database import NO_PASSWORD, Database, parse_url
from node.store.evaluation.feedback import FeedbackRepository
from node.store.evaluation.model_use import ModelUseQueries
from node.store.evaluation.shadow_runs import ShadowRuns
from node.store.files import DataFolder, Files
from node.store.history import History
from node.store.jobs.attempts import Attempts
from node.store.jobs.outcomes import Outcomes
from node.store.jobs.reruns import Reruns
from node.store.jobs.result_objects import ResultObjects
from node.store.migrate import run_migrations
from node.store.monitoring.activity import ActivityQueries
from node.store.monitoring.alerts import Alerts
from node.store.monitoring.destination_health import DestinationHealthRepository
from node.store.monitoring.row_counts import RowCounts
from node.store.monitoring.stage_durations import StageDurations
from node.store.queues.claims import AttemptClaims
from node.store.queues.delivery_changes import DeliveryChanges
from node.store.queues.job_search import JobSearch
from node.store.queues.open_deliveries import OpenDeliveries
from node.store.received.cleanup import Cleanup
from node.store.received.completion_hints import CompletionHints
from node.store.received.incomplete import IncompleteSeriesRepository
from node.store.received.instances import Instances
from node.store.received.queried_series import QueriedSeriesRepository
from node.store.received.retrievals import Retrievals
from node.store.search.archive_search import ArchiveSearch
from node.store.search.searching import SeriesSearch
from node.store.search.upkeep import IndexUpkeep
from node.store.site.files_check import check_files
from node.store.site.workers import Workers
from node.store.worklists.work_items import WorkItems
from node.store.worklists.worklists import Worklists


class Store(
    Instances,
    Outcomes,
    Reruns,
    Attempts,
    RequestedCommitments,
    DeliveryChanges,
    OpenDeliveries,
    AttemptClaims,
    JobSearch,
    Retrievals,
    IncompleteSeriesRepository,
    CompletionHints,
    QueriedSeriesRepository,
    WorkItems,
    Worklists,
    ReceivedCommitments,
    Cleanup,
    SeriesSearch,
    ArchiveSearch,
    IndexUpkeep,
    ResultObjects,
    Workers,
    DestinationHealthRepository,
    Alerts,
    ActivityQueries,
    StageDurations,
    RowCounts,
    RejectedConnections,
    PeerCertificates,
    Revisions,
    ConfiguredProcesses,
    ShadowRuns,
    FeedbackRepository,
    ModelUseQueries,
    Users,
    ExternalUsers,
    Sessions,
    ApiTokens,
    LoginFailures,
    OneTimeCodes,
    History,
    AuditForwarding,
    AuditRecords,
    AuditRemoval,
    AuditSearches,
):
    """Instances, series, jobs, deliveries, queues, retrievals, work items, commitments, workers,
    health, alerts, rejected connections, certificates of peers, the configuration, shadow runs,
    feedback, users and their sessions, tokens of programs, the search index, the history of series
    and jobs, the audit trail.

    Each method is one short transaction that is durable when the method returns. All methods take
    and return aware UTC times. Any number of threads and processes may use one database. Any method
    raises Transient when the database does not answer.
    """

    @classmethod
    def open(
        cls,
        database_url: str,
        data_dir: Path,
        files: Files | None = None,
        password: SecretSource = NO_PASSWORD,
    ) -> Self:
        """Opens the database and creates or migrates its tables as needed.

        Several processes may do this at the same time. `files` defaults to the files in `data_dir`.
        `password` is that of the database, if it is not in the URL.

        Raises:
            Misconfigured: the URL names no supported database, one that belongs to other files, or
                one that a newer version has upgraded; or a restore has not finished.
            Transient: the database does not answer.
        """
        data_dir = data_dir.absolute()
        if files is None:
            files = DataFolder(data_dir)
        refuse_unfinished_restore(data_dir)
        data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(parse_url(database_url), password)
        run_migrations(database)
        if not database.is_sqlite:
            check_files(database, files, data_dir)
        return cls(database, data_dir, files)

    def changes(self) -> DatabaseChanges:
        """Returns the changes of the database from now on; the caller closes them."""
        return DatabaseChanges(self._database)

    def check_writable(self) -> None:
        """Checks that the database can be written now; returns within about two seconds.

        Raises:
            Transient: the database is locked, full or read-only, or does not answer.
        """
        self._database.check_writable()

    def close(self) -> None:
        """Closes every connection."""
        self._database.close()
