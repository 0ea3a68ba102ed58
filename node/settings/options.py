"""The tree of settings: each one's name, type, bounds and default."""

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from node.domain.identity import AeTitle
from node.routing.rules import LONGEST_QUIET_SECONDS, Rule


def _web_address(url: str) -> str:
    if re.match(r"https?://[^/]*@", url):
        raise ValueError("must hold no name and password: use username and password_env")
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        known = False
    if not known or not parts.hostname:
        raise ValueError("must be an address such as http://server:8042/dicom-web")
    return url


def _web_address_or_none(url: str) -> str:
    return _web_address(url) if url else url


def _long_string(text: str) -> str:
    """PS3.5 6.2: a Long String has at most 64 characters; a backslash would divide it."""
    if not 0 < len(text) <= 64:
        raise ValueError(f"must have 1 to 64 characters, and has {len(text)}")
    if "\\" in text or not text.isprintable():
        raise ValueError("may have no backslash, line break or other control character")
    return text


def _host_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", name):
        raise ValueError(f"must be a name such as segnode.hospital.example, not {name!r}")
    return name


def _host(host: str) -> str:
    """A name or an IP address."""
    try:
        return str(ip_address(host))
    except ValueError:
        return _host_name(host)


def _device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError(f'must be "auto", "cpu", "cuda", "cuda:0" or so, not {device!r}')
    return device


def _database(url: str) -> str:
    if url and not re.match(r"(sqlite|postgresql)(\+\w+)?://", url):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return url


def _bucket(url: str) -> str:
    """The rules for names of buckets that all servers keep to."""
    if url and not re.fullmatch(
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*/?", url, re.ASCII
    ):
        raise ValueError("must be an address such as s3://bucket or s3://bucket/folder")
    return url


def _not_empty(path: object) -> object:
    # A path of no characters would be the folder of the configuration itself.
    if path == "":
        raise ValueError("must not be empty")
    return path


def _no_truth_value(number: object) -> object:
    if isinstance(number, bool):  # to Python, `true` is 1
        raise ValueError("must not be true or false")  # noqa: TRY004 pydantic's way to refuse
    return number


def _home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no home folder for {path.parts[0]}") from error


Whole = Annotated[int, BeforeValidator(_no_truth_value)]
Real = Annotated[float, BeforeValidator(_no_truth_value)]
Port = Annotated[Whole, Field(ge=0, le=65535)]
Ae = Annotated[str, AfterValidator(AeTitle)]
Name = Annotated[str, Field(min_length=1)]
Host = Annotated[str, AfterValidator(_host)]
HostName = Annotated[str, AfterValidator(_host_name)]
LongString = Annotated[str, AfterValidator(_long_string)]
# 11 days in seconds, 114 years in hours: times beyond that overflow a clock.
Positive = Annotated[Real, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
QuietSeconds = Annotated[Real, Field(gt=0, le=LONGEST_QUIET_SECONDS, allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(_web_address)]
SitePath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_home)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenerOptions(_Options):
    """The Storage SCP. Port 0 takes a free one."""

    ae_title: Ae = "SEGNODE"
    host: Host = "0.0.0.0"  # noqa: S104 # modalities and PACS call from other machines
    port: Port = 11112
    max_pdu: Annotated[Whole, Field(ge=4096, le=1048576)] = 131072  # bytes
    max_associations: Annotated[Whole, Field(ge=1, le=1000)] = 25


class WebOptions(_Options):
    """Console, REST and DICOMweb; without log-in, so on this machine alone by default.

    `names` are those under which requests may name the node, beside localhost, the machine's name
    and its addresses.
    """

    host: Host = "127.0.0.1"
    port: Port = 8080
    names: tuple[HostName, ...] = ()


class WorkerOptions(_Options):
    """Inference. `threads` of the CPU; without it, as many as PyTorch takes.

    What takes longer than `longest_inference_seconds` is ended, tried once more, then parked.
    `inferences_at_once` share the device, each with its own copy of the model;
    `most_of_model_at_once` bounds that for single models.
    """

    device: Annotated[str, AfterValidator(_device)] = "auto"
    threads: Annotated[Whole, Field(ge=1)] | None = None
    poll_seconds: Positive = 0.5
    longest_inference_seconds: Positive = 1800.0
    inferences_at_once: Annotated[Whole, Field(ge=1, le=64)] = 1
    most_of_model_at_once: dict[Name, Annotated[Whole, Field(ge=1)]] = Field(default_factory=dict)


class ResultOptions(_Options):
    """What the SEG says of itself."""

    series_description: LongString = "Segmentation, not for diagnostic use"
    series_number: Annotated[Whole, Field(ge=0, le=2147483647)] = 900
    content_description: LongString = "Automatic segmentation, not for diagnostic use"


class DeliveryOptions(_Options):
    """How a delivery that failed is repeated: the wait doubles from the first to the longest.

    A result whose storage is not committed within `longest_commitment_seconds` is sent again.
    """

    first_retry_seconds: Positive = 5.0
    longest_retry_seconds: Positive = 3600.0
    give_up_after_hours: Positive = 168.0
    longest_commitment_seconds: Positive = 3600.0


class RetentionOptions(_Options):
    """When finished series are deleted; without either, nothing is.

    `free_gib` has the oldest go until so much is free on the disk of data_dir.
    """

    keep_days: Positive | None = None
    free_gib: Annotated[Real, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None

    @property
    def keep(self) -> timedelta | None:
        """`keep_days` as a time."""
        return None if self.keep_days is None else timedelta(days=self.keep_days)

    @property
    def free_bytes(self) -> int:
        """`free_gib` as the number of bytes; 0 without it."""
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
    """Where results go; `give_up_after_hours` where it is not that of `delivery`."""

    give_up_after_hours: Positive | None = None


class CStoreDestination(_Destination):
    """Results go to a peer by C-STORE.

    `commitment` names the peer, often the same, that is asked to commit itself to keep them.
    """

    kind: Literal["cstore"]
    peer: Name
    commitment: Name | None = None


class DicomwebDestination(_Destination):
    """Results go to a DICOMweb server by STOW-RS; `url` is the root of the service."""

    kind: Literal["dicomweb"]
    url: Url
    username: str | None = None
    password_env: str | None = None


class FolderDestination(_Destination):
    """Results go to a folder, as study/series/instance.dcm."""

    kind: Literal["folder"]
    path: SitePath


Destination = Annotated[
    CStoreDestination | DicomwebDestination | FolderDestination, Field(discriminator="kind")
]
DESTINATION_KINDS: dict[str, type[BaseModel]] = {
    "cstore": CStoreDestination,
    "dicomweb": DicomwebDestination,
    "folder": FolderDestination,
}


def _default_data_dir() -> Path:
    return Path.home() / ".local" / "share" / "segnode"


class Settings(BaseSettings):
    """The site's settings; `load_settings` builds them, and `file` is None without one.

    Building them here reads neither file nor environment, and leaves paths as they are.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="SEGNODE_",
        env_nested_delimiter="__",
        arbitrary_types_allowed=True,
    )

    file: Path | None = None
    data_dir: SitePath = Field(default_factory=_default_data_dir)
    database_url: Annotated[str, AfterValidator(_database)] = ""
    store_url: Annotated[str, AfterValidator(_bucket)] = ""
    store_endpoint: Annotated[str, AfterValidator(_web_address_or_none)] = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    quiet_seconds: QuietSeconds = 10.0
    least_free_gib: Annotated[Real, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = 1.0
    catalogues: Annotated[tuple[SitePath, ...], NoDecode] = ()
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
        """Whether the database is a file of one machine, which has one worker then."""
        return self.database_url.startswith("sqlite")

    @property
    def least_free_bytes(self) -> int:
        """`least_free_gib` as the number of bytes."""
        return round(self.least_free_gib * (1 << 30))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What it is given, alone: the environment is laid over the file by `load_settings`."""
        return (init_settings,)
