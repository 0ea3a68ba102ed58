"""The tree of settings: the name, type, limits and default of each."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from node.dicom.data_set_digest import ImageDigest
from node.domain.texts.result_texts import (
    DEFAULT_CONTENT_DESCRIPTION,
    DEFAULT_SERIES_DESCRIPTION,
    SeriesNumberRule,
)
from node.routing.rules import Rule
from node.settings.access.logins import AccessOptions
from node.settings.alerting import AlertOptions, MonitoringOptions
from node.settings.auditing import AuditOptions
from node.settings.credentials.options import HttpServiceOptions, SecretFile, secret_source
from node.settings.credentials.secret_source import SecretSource
from node.settings.destinations import Destination
from node.settings.network.listener import ListenerOptions
from node.settings.network.peers import Peer
from node.settings.network.tls import DicomTlsOptions
from node.settings.network.web import WebOptions
from node.settings.value_types import (
    Boolean,
    BucketUrl,
    CodeString,
    DatabaseUrl,
    DescriptionTemplate,
    Device,
    LongString,
    Name,
    OptionalUrl,
    Options,
    Positive,
    QuietSeconds,
    Real,
    SeriesNumber,
    SitePath,
    Url,
    Whole,
    above_zero_up_to,
    within,
)
from node.settings.worklists import WorklistOptions


class WorkerOptions(Options):
    """Inference. `threads` is the number of CPU threads; None leaves it to PyTorch.

    An inference longer than `longest_inference_seconds` is stopped and retried once; then its job
    is parked. `inferences_at_once` processes share the device, each with its own copy of the
    model; `most_of_model_at_once` sets a lower limit for single models. With `early_start`, an idle
    worker segments a series that seems complete before its quiet time has ended.
    """

    device: Device = "auto"
    threads: Annotated[Whole, Field(ge=1)] | None = None
    poll_seconds: Positive = 0.5
    longest_inference_seconds: Positive = 1800.0
    early_start: Boolean = True
    inferences_at_once: Annotated[Whole, within(1, 64)] = 1
    most_of_model_at_once: dict[Name, Annotated[Whole, Field(ge=1)]] = Field(default_factory=dict)


class ResultOptions(Options):
    """The descriptive attributes of results.

    `series_number` is a fixed number, or a first number plus that of the source series. `colours`
    are those of the model package, distinct for all its organs, or those of 3D Slicer and dcmqi.
    """

    series_description: DescriptionTemplate = DEFAULT_SERIES_DESCRIPTION
    series_number: SeriesNumber = str(SeriesNumberRule())
    content_description: LongString = DEFAULT_CONTENT_DESCRIPTION
    colours: Literal["distinct", "recommended"] = "distinct"


class DeliveryOptions(Options):
    """Retries of failed deliveries: the delay doubles from `first_` to `longest_retry_seconds`.

    The same holds for a job that fails for a temporary reason such as a full disk. A result whose
    storage is not committed within `longest_commitment_seconds` is sent again.
    """

    first_retry_seconds: Positive = 5.0
    longest_retry_seconds: Positive = 3600.0
    give_up_after_hours: Positive = 168.0
    longest_commitment_seconds: Positive = 3600.0


class RetentionOptions(Options):
    """When finished series are deleted; without either setting, none is.

    `free_gib` deletes the oldest until that much is free on the disk of data_dir. `audit_days` is
    about the records of the audit trail, which otherwise stay.
    """

    keep_days: Positive | None = None
    audit_days: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    free_gib: Annotated[Real, above_zero_up_to(1_000_000)] | None = None

    @property
    def keep(self) -> timedelta | None:
        """`keep_days` as a timedelta."""
        return None if self.keep_days is None else timedelta(days=self.keep_days)

    @property
    def keep_audit(self) -> timedelta | None:
        """`audit_days` as a timedelta."""
        return None if self.audit_days is None else timedelta(days=self.audit_days)

    @property
    def free_bytes(self) -> int:
        """`free_gib` in bytes; 0 if not set."""
        return 0 if self.free_gib is None else round(self.free_gib * (1 << 30))


class DicomwebSource(HttpServiceOptions):
    """A DICOMweb server to fetch series from; `url` is the root of WADO-RS."""

    url: Url


class QueryOptions(Options):
    """A query that runs every `every_minutes` and requests the series that the node does not have.

    `source` names a peer with `retrieve`, or a DICOMweb source. The study dates go back
    `lookback_days` before today. At most `max_open_retrievals` of the source wait at a time.
    """

    source: Name
    every_minutes: Positive = 10.0
    modality: CodeString = "CT"
    lookback_days: Annotated[Whole, within(0, 3650)] = 1
    max_open_retrievals: Annotated[Whole, within(1, 1000)] = 20


def _default_data_dir() -> Path:
    return Path.home() / ".local" / "share" / "segnode"


class Settings(BaseModel):
    """The site's settings; `file` is None without a configuration file.

    `load_settings` builds them. The constructor reads neither file nor environment, and leaves
    paths as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    file: Path | None = None
    config: Literal["file", "database"] = "file"
    data_dir: SitePath = Field(default_factory=_default_data_dir)
    database_url: DatabaseUrl = ""
    database_password_env: Name | None = None
    database_password_file: SecretFile | None = None
    store_url: BucketUrl = ""
    store_endpoint: OptionalUrl = ""
    store_access_key: str = ""
    store_secret_key_env: Name | None = None
    store_secret_key_file: SecretFile | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    quiet_seconds: QuietSeconds = 10.0
    least_free_gib: Annotated[Real, within(0, 1_000_000)] = 1.0
    image_digest: ImageDigest = "sha256"
    catalogues: tuple[SitePath, ...] = ()
    listener: ListenerOptions = ListenerOptions()
    dicom_tls: DicomTlsOptions = DicomTlsOptions()
    web: WebOptions = WebOptions()
    access: AccessOptions = AccessOptions()
    worker: WorkerOptions = WorkerOptions()
    result: ResultOptions = ResultOptions()
    delivery: DeliveryOptions = DeliveryOptions()
    retention: RetentionOptions = RetentionOptions()
    monitoring: MonitoringOptions = MonitoringOptions()
    alerts: AlertOptions = AlertOptions()
    audit: AuditOptions = AuditOptions()
    peers: dict[Name, Peer] = Field(default_factory=dict)
    sources: dict[Name, DicomwebSource] = Field(default_factory=dict)
    queries: dict[Name, QueryOptions] = Field(default_factory=dict)
    worklists: dict[Name, WorklistOptions] = Field(default_factory=dict)
    destinations: dict[Name, Destination] = Field(default_factory=dict)
    rules: tuple[InstanceOf[Rule], ...] = ()

    @property
    def is_embedded(self) -> bool:
        """Whether the database is an SQLite file, which allows one machine and one worker."""
        return self.database_url.startswith("sqlite")

    @property
    def database_password(self) -> SecretSource:
        """Where the password of PostgreSQL is, if it is not in the URL."""
        return secret_source(self, "", "database_password")

    @property
    def store_secret_key(self) -> SecretSource:
        """Where the secret key of the object store is, if boto3 is not to look for it."""
        return secret_source(self, "", "store_secret_key")

    @property
    def engine_file(self) -> Path:
        """The SQLite file of DBOS, which stands beside an embedded database."""
        return self.data_dir.absolute() / "dbos.sqlite"

    @property
    def min_free_bytes(self) -> int:
        """`least_free_gib` in bytes."""
        return round(self.least_free_gib * (1 << 30))

    @property
    def low_disk_bytes(self) -> int:
        """The free space below which an administrator is warned."""
        low_gib = self.monitoring.low_disk_gib
        return round((2 * self.least_free_gib if low_gib is None else low_gib) * (1 << 30))
