"""The tree of settings: the name, type, limits and default of each."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, InstanceOf

from node.domain.report import Quantity
from node.domain.result_objects import ResultKind, ResultObject, SegEncoding, WantedObjects
from node.domain.result_texts import (
    DEFAULT_CONTENT_DESCRIPTION,
    DEFAULT_SERIES_DESCRIPTION,
    SeriesNumberRule,
)
from node.routing.rules import Rule
from node.settings.value_types import (
    Ae,
    BucketUrl,
    DatabaseUrl,
    DescriptionTemplate,
    Device,
    Hl7Name,
    Host,
    HostName,
    LongString,
    Name,
    OptionalUrl,
    Port,
    Positive,
    QuietSeconds,
    Real,
    SeriesNumber,
    SitePath,
    Uri,
    Url,
    ViewerUrl,
    Whole,
)


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenerOptions(_Options):
    """The Storage SCP. Port 0 selects a free port."""

    ae_title: Ae = "SEGNODE"
    host: Host = "0.0.0.0"  # noqa: S104 # modalities and PACS connect from other machines
    port: Port = 11112
    max_pdu: Annotated[Whole, Field(ge=4096, le=1048576)] = 131072  # bytes
    max_associations: Annotated[Whole, Field(ge=1, le=1000)] = 25


class WebOptions(_Options):
    """Console, REST and DICOMweb; without login, so reachable from this machine alone by default.

    `names` lists the host names that requests may use, besides localhost, the machine's name and
    its addresses.
    """

    host: Host = "127.0.0.1"
    port: Port = 8080
    names: tuple[HostName, ...] = ()


class WorkerOptions(_Options):
    """Inference. `threads` is the number of CPU threads; None leaves it to PyTorch.

    An inference longer than `longest_inference_seconds` is stopped and retried once; then its job
    is parked. `inferences_at_once` processes share the device, each with its own copy of the
    model; `most_of_model_at_once` sets a lower limit for single models.
    """

    device: Device = "auto"
    threads: Annotated[Whole, Field(ge=1)] | None = None
    poll_seconds: Positive = 0.5
    longest_inference_seconds: Positive = 1800.0
    inferences_at_once: Annotated[Whole, Field(ge=1, le=64)] = 1
    most_of_model_at_once: dict[Name, Annotated[Whole, Field(ge=1)]] = Field(default_factory=dict)


class ResultOptions(_Options):
    """The descriptive attributes of results.

    `series_number` is a fixed number, or a first number plus that of the source series. `colours`
    are those of the model package, distinct for all its organs, or those of 3D Slicer and dcmqi.
    """

    series_description: DescriptionTemplate = DEFAULT_SERIES_DESCRIPTION
    series_number: SeriesNumber = str(SeriesNumberRule())
    content_description: LongString = DEFAULT_CONTENT_DESCRIPTION
    colours: Literal["distinct", "recommended"] = "distinct"


class DeliveryOptions(_Options):
    """Retries of failed deliveries: the delay doubles from `first_` to `longest_retry_seconds`.

    The same holds for a job that fails for a temporary reason such as a full disk. A result whose
    storage is not committed within `longest_commitment_seconds` is sent again.
    """

    first_retry_seconds: Positive = 5.0
    longest_retry_seconds: Positive = 3600.0
    give_up_after_hours: Positive = 168.0
    longest_commitment_seconds: Positive = 3600.0


class RetentionOptions(_Options):
    """When finished series are deleted; without either setting, none is.

    `free_gib` deletes the oldest until that much is free on the disk of data_dir.
    """

    keep_days: Positive | None = None
    free_gib: Annotated[Real, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None

    @property
    def keep(self) -> timedelta | None:
        """`keep_days` as a timedelta."""
        return None if self.keep_days is None else timedelta(days=self.keep_days)

    @property
    def free_bytes(self) -> int:
        """`free_gib` in bytes; 0 if not set."""
        return 0 if self.free_gib is None else round(self.free_gib * (1 << 30))


class Peer(_Options):
    """A remote application entity."""

    ae_title: Ae
    host: Host
    port: Annotated[Whole, Field(ge=1, le=65535)]


class DicomwebSource(_Options):
    """A DICOMweb server to fetch series from; `url` is the root of WADO-RS.

    `password_env` names the environment variable that holds the password.
    """

    url: Url
    username: str | None = None
    password_env: str | None = None


class _Destination(_Options):
    """A destination of results; `give_up_after_hours` overrides that of `delivery`."""

    give_up_after_hours: Positive | None = None


ObjectName = Literal["seg", "sr", "capture", "summary", "pdf", "rtstruct"]


class _ObjectDestination(_Destination):
    """A destination of DICOM objects.

    `objects` names what it gets, `segmentation` how a SEG stores its segments, and `fallback` what
    replaces an object that the destination does not accept. With `refusal_notice` it gets a page
    with the reason for each series that a rule selected and the node refused.
    """

    objects: Annotated[tuple[ObjectName, ...], Field(min_length=1)] = ("seg",)
    segmentation: Literal["all-frames", "sparse", "labelmap"] = "all-frames"
    fallback: tuple[ObjectName, ...] = ()
    refusal_notice: bool = False

    @property
    def wanted(self) -> WantedObjects:
        """The objects as the jobs name them."""
        encoding = SegEncoding(self.segmentation)
        return WantedObjects(
            tuple(ResultObject.of(ResultKind(name), encoding) for name in self.objects),
            tuple(ResultObject.of(ResultKind(name), encoding) for name in self.fallback),
            self.refusal_notice,
        )


class CStoreDestination(_ObjectDestination):
    """Sends results to a peer by C-STORE.

    `commitment` names the peer, often the same, that receives the storage commitment request.
    """

    kind: Literal["cstore"]
    peer: Name
    commitment: Name | None = None


class DicomwebDestination(_ObjectDestination):
    """Sends results to a DICOMweb server by STOW-RS; `url` is the root of the service."""

    kind: Literal["dicomweb"]
    url: Url
    username: str | None = None
    password_env: str | None = None


class FolderDestination(_ObjectDestination):
    """Writes results to a folder, as study/series/instance.dcm."""

    kind: Literal["folder"]
    path: SitePath


class ObservationCode(_Options):
    """The site's code of a measurement; `organ` is the name of a model's label."""

    organ: Name
    quantity: Quantity
    code: Name
    scheme: Name
    meaning: Name


class _ReportDestination(_Destination):
    """An information system that gets the measurements.

    `viewer_url` is the address of a viewer; {study} stands for the Study Instance UID.
    """

    status: Literal["preliminary", "final"] = "preliminary"
    viewer_url: ViewerUrl = ""
    codes: tuple[ObservationCode, ...] = ()
    timeout_seconds: Positive = 30.0

    @property
    def wanted(self) -> WantedObjects:
        """The report of each job, and nothing else."""
        return WantedObjects((ResultObject(ResultKind.REPORT),))


class Hl7Destination(_ReportDestination):
    """Sends measurements as HL7 v2.5.1 ORU^R01 by MLLP.

    `patient_authority` is the assigning authority of patient IDs whose source names none.
    """

    kind: Literal["hl7"]
    host: Host
    port: Annotated[Whole, Field(ge=1, le=65535)]
    tls: bool = False
    ca_file: SitePath | None = None
    certificate_file: SitePath | None = None
    key_file: SitePath | None = None
    charset: Literal["utf-8", "iso-8859-1", "us-ascii"] = "utf-8"
    sending_application: Hl7Name = "SEGNODE"
    sending_facility: Hl7Name = ""
    receiving_application: Hl7Name = ""
    receiving_facility: Hl7Name = ""
    processing_id: Literal["P", "T", "D"] = "P"
    patient_authority: Hl7Name = ""


class FhirDestination(_ReportDestination):
    """Sends measurements to a FHIR R4 server; `url` is the root of the service.

    `token_env` names the environment variable that holds the bearer token. `patient_system` is
    the system of patient IDs whose source names none.
    """

    kind: Literal["fhir"]
    url: Url
    ca_file: SitePath | None = None
    token_env: str | None = None
    patient_system: Uri = ""
    patient_reference: Literal["identifier", "search"] = "identifier"


Destination = Annotated[
    CStoreDestination | DicomwebDestination | FolderDestination | Hl7Destination | FhirDestination,
    Field(discriminator="kind"),
]
DESTINATION_KINDS: dict[str, type[BaseModel]] = {
    "cstore": CStoreDestination,
    "dicomweb": DicomwebDestination,
    "folder": FolderDestination,
    "hl7": Hl7Destination,
    "fhir": FhirDestination,
}


def _default_data_dir() -> Path:
    return Path.home() / ".local" / "share" / "segnode"


class Settings(BaseModel):
    """The site's settings; `file` is None without a configuration file.

    `load_settings` builds them. The constructor reads neither file nor environment, and leaves
    paths as they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    file: Path | None = None
    data_dir: SitePath = Field(default_factory=_default_data_dir)
    database_url: DatabaseUrl = ""
    store_url: BucketUrl = ""
    store_endpoint: OptionalUrl = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    quiet_seconds: QuietSeconds = 10.0
    least_free_gib: Annotated[Real, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 1.0
    catalogues: tuple[SitePath, ...] = ()
    listener: ListenerOptions = ListenerOptions()
    web: WebOptions = WebOptions()
    worker: WorkerOptions = WorkerOptions()
    result: ResultOptions = ResultOptions()
    delivery: DeliveryOptions = DeliveryOptions()
    retention: RetentionOptions = RetentionOptions()
    peers: dict[Name, Peer] = Field(default_factory=dict)
    sources: dict[Name, DicomwebSource] = Field(default_factory=dict)
    destinations: dict[Name, Destination] = Field(default_factory=dict)
    rules: tuple[InstanceOf[Rule], ...] = ()

    @property
    def is_embedded(self) -> bool:
        """Whether the database is an SQLite file, which allows one machine and one worker."""
        return self.database_url.startswith("sqlite")

    @property
    def min_free_bytes(self) -> int:
        """`least_free_gib` in bytes."""
        return round(self.least_free_gib * (1 << 30))
