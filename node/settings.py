"""What a site sets: one frozen tree from a TOML file and the environment, checked as a whole."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from models.registry import installed
from models.spec import InvalidPackage
from node.domain.errors import Misconfigured
from node.domain.identity import AeTitle
from node.routing.conditions import All, Equals, Matches, Not
from node.routing.rules import Rule, suggestion
from node.routing.table import Mistake, read_rules
from node.toml_source import KeyPath, TomlSource

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Port = Annotated[int, Field(ge=0, le=65535)]
Ae = Annotated[str, AfterValidator(AeTitle)]
Name = Annotated[str, Field(min_length=1)]
# PS3.5 6.2: a Long String has at most 64 characters; a backslash would divide it.
LongString = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\\]*$")]
Positive = Annotated[float, Field(gt=0)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenerOptions(_Options):
    """The Storage SCP. Port 0 takes a free one."""

    ae_title: Ae = "SEGNODE"
    host: str = "0.0.0.0"  # noqa: S104 # modalities and PACS call from other machines
    port: Port = 11112
    max_pdu: Annotated[int, Field(ge=4096, le=1048576)] = 131072  # bytes
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 25


class WebOptions(_Options):
    """Console, REST and DICOMweb; without log-in, so on this machine alone by default."""

    host: str = "127.0.0.1"
    port: Port = 8080


class WorkerOptions(_Options):
    """Inference. `threads` of the CPU; without it, as many as PyTorch takes."""

    device: str = "auto"
    threads: Annotated[int, Field(ge=1)] | None = None
    poll_seconds: Positive = 0.5


class ResultOptions(_Options):
    """What the SEG says of itself."""

    series_description: LongString = "Segmentation, not for diagnostic use"
    series_number: Annotated[int, Field(ge=0, le=2147483647)] = 900
    content_description: LongString = "Automatic segmentation, not for diagnostic use"


class DeliveryOptions(_Options):
    """How a delivery that failed is repeated: the wait doubles from the first to the longest."""

    first_retry_seconds: Positive = 5.0
    longest_retry_seconds: Positive = 3600.0
    give_up_after_hours: Positive = 168.0


class Peer(_Options):
    """A remote application entity."""

    ae_title: Ae
    host: Name
    port: Annotated[int, Field(ge=1, le=65535)]


class DicomwebSource(_Options):
    """A DICOMweb server to fetch series from; `url` is the root of WADO-RS.

    `password_env` names the environment variable that holds the password.
    """

    url: Annotated[str, Field(pattern=r"^https?://")]
    username: str | None = None
    password_env: str | None = None


class CStoreDestination(_Options):
    """Results go to a peer by C-STORE."""

    kind: Literal["cstore"]
    peer: Name


class DicomwebDestination(_Options):
    """Results go to a DICOMweb server by STOW-RS; `url` is the root of the service."""

    kind: Literal["dicomweb"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    username: str | None = None
    password_env: str | None = None


class FolderDestination(_Options):
    """Results go to a folder, as study/series/instance.dcm."""

    kind: Literal["folder"]
    path: Path


Destination = Annotated[
    CStoreDestination | DicomwebDestination | FolderDestination, Field(discriminator="kind")
]


def _default_data_dir() -> Path:
    return Path.home() / ".local" / "share" / "segnode"


class Settings(BaseSettings):
    """The site's settings; build them with `load_settings`. `file` is None without one."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="SEGNODE_",
        env_nested_delimiter="__",
        arbitrary_types_allowed=True,
    )

    file: Path | None = None
    data_dir: Path = Field(default_factory=_default_data_dir)
    database_url: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    quiet_seconds: Positive = 10.0
    catalogues: tuple[Path, ...] = ()
    listener: ListenerOptions = ListenerOptions()
    web: WebOptions = WebOptions()
    worker: WorkerOptions = WorkerOptions()
    result: ResultOptions = ResultOptions()
    delivery: DeliveryOptions = DeliveryOptions()
    peers: dict[Name, Peer] = Field(default_factory=dict)
    sources: dict[Name, DicomwebSource] = Field(default_factory=dict)
    destinations: dict[Name, Destination] = Field(default_factory=dict)
    rules: tuple[InstanceOf[Rule], ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file, so that one file serves several hosts."""
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """What follows from other settings: paths from the file's folder, the database's place."""
        if not isinstance(values, dict):
            return values
        file = values.get("file")
        base = file.parent if file is not None else Path.cwd()
        data_dir = (base / Path(values.get("data_dir") or _default_data_dir())).expanduser()
        filled = {**values, "data_dir": data_dir}
        filled.setdefault("database_url", f"sqlite:///{data_dir / 'segnode.db'}")
        filled["catalogues"] = [base / Path(c) for c in values.get("catalogues", ())]
        for name, destination in dict(values.get("destinations", {})).items():
            if isinstance(destination, Mapping) and isinstance(destination.get("path"), str):
                here = {**destination, "path": base / destination["path"]}
                filled["destinations"] = {**filled["destinations"], name: here}
        if "rules" not in values and "destinations" not in values:
            filled["destinations"] = {"archive": {"kind": "folder", "path": data_dir / "archive"}}
            filled["rules"] = (_embedded_rule(values.get("quiet_seconds", 10.0)),)
        return filled

    @model_validator(mode="after")
    def _check_retry(self) -> Self:
        if self.delivery.longest_retry_seconds < self.delivery.first_retry_seconds:
            raise ValueError("delivery.longest_retry_seconds is below first_retry_seconds")
        return self


def _embedded_rule(quiet_seconds: Any) -> Rule:
    """Without a configuration: every CT that is no localizer."""
    localizer = Matches("ImageType", re.compile("^LOCALIZER$"))
    when = All((Equals("Modality", "CT"), Not(localizer)))
    return Rule("liver", "liver-ct", ("archive",), when, float(quiet_seconds))


def load_settings(file: Path | None) -> Settings:
    """The settings of `file`, over which the environment stands (SEGNODE_LISTENER__PORT=...).

    Raises:
        Misconfigured: with every mistake, each on a line of its own with its file and line.
    """
    source = None if file is None else TomlSource.read(file.resolve())
    values: dict[str, Any] = {} if source is None else dict(source.values)
    mistakes: list[Mistake] = [(("file",), "is no setting")] if "file" in values else []
    if source is not None:
        values["file"] = source.file
    if "rules" in values:
        values["rules"] = read_rules(values["rules"], values.get("quiet_seconds", 10.0), mistakes)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        mistakes += [_mistake(detail) for detail in error.errors()]
        raise _told(mistakes, source) from error
    mistakes += _broken_references(settings)
    if mistakes:
        raise _told(mistakes, source)
    return settings


def _broken_references(settings: Settings) -> list[Mistake]:
    """Names of destinations, models and peers that nothing has."""
    mistakes: list[Mistake] = []
    try:
        models = set(installed(settings.catalogues))
    except InvalidPackage as error:
        return [(("catalogues",), str(error))]
    for i, rule in enumerate(settings.rules):
        for j, name in enumerate(rule.destinations):
            if name not in settings.destinations:
                path = ("rules", i, "destinations", j)
                told = suggestion(name, settings.destinations)
                mistakes.append((path, f"there is no destination {name!r}{told}"))
        if rule.model not in models:
            told = suggestion(rule.model, models)
            mistakes.append((("rules", i, "model"), f"there is no model {rule.model!r}{told}"))
    for name, destination in settings.destinations.items():
        if isinstance(destination, CStoreDestination) and destination.peer not in settings.peers:
            told = suggestion(destination.peer, settings.peers)
            message = f"there is no peer {destination.peer!r}{told}"
            mistakes.append((("destinations", name, "peer"), message))
    return mistakes


_MODELS: tuple[type[BaseModel], ...] = (Settings, *_Options.__subclasses__())
_FIELD_NAMES = {name for model in _MODELS for name in model.model_fields} - {"file"}


def _mistake(detail: "ErrorDetails") -> Mistake:
    """What pydantic found, in the administrator's words."""
    path: KeyPath = detail["loc"]
    match detail["type"]:
        case "extra_forbidden":
            return path, f"unknown setting{suggestion(str(path[-1]), _FIELD_NAMES)}"
        case "missing":
            return path, "is missing"
        case "union_tag_not_found":
            return path, "kind is missing; one of cstore, dicomweb, folder"
        case "union_tag_invalid":
            given = str(detail["ctx"]["tag"])
            kinds = ("cstore", "dicomweb", "folder")
            return (*path, "kind"), f"there is no kind {given!r}{suggestion(given, kinds)}"
        case "value_error":
            return path, str(detail["ctx"]["error"])
        case _:
            return path, detail["msg"]


def _told(mistakes: list[Mistake], source: TomlSource | None) -> Misconfigured:
    """All mistakes as one error, in the order of their lines."""
    errors = [
        Misconfigured(
            message,
            file=None if source is None else source.file,
            line=None if source is None else source.line(path),
            key=".".join(str(part) for part in path),
        )
        for path, message in mistakes
    ]
    return Misconfigured.several(sorted(errors, key=lambda error: error.line or 0))
