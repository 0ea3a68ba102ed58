"""What the configuration says, in words that can be read out to a colleague."""

from dataclasses import dataclass

from models.manifest import InvalidPackage, ModelSpec
from models.registry import installed
from node.routing.conditions import SeriesFacts, Verdict
from node.settings import (
    CStoreDestination,
    Destination,
    DicomwebDestination,
    FolderDestination,
    Settings,
)


@dataclass(frozen=True)
class RuleInWords:
    """A rule; `condition` is a verdict on nothing, of which only the words matter."""

    name: str
    model: str
    destinations: tuple[str, ...]
    quiet_seconds: float
    condition: Verdict


@dataclass(frozen=True)
class SiteInWords:
    """The whole configuration; `models_error` says why the models could not be listed."""

    settings: Settings
    rules: tuple[RuleInWords, ...]
    destinations: tuple[tuple[str, str], ...]
    models: tuple[ModelSpec, ...]
    models_error: str


def site_in_words(settings: Settings) -> SiteInWords:
    """The configuration as the page "This node" shows it; no password is in it."""
    models, error = _models(settings)
    nothing = SeriesFacts({}, 0, "")
    return SiteInWords(
        settings=settings,
        rules=tuple(
            RuleInWords(r.name, r.model, r.destinations, r.quiet_seconds, r.when.judge(nothing))
            for r in settings.rules
        ),
        destinations=tuple(
            (name, _told(destination, settings))
            for name, destination in settings.destinations.items()
        ),
        models=models,
        models_error=error,
    )


def _models(settings: Settings) -> tuple[tuple[ModelSpec, ...], str]:
    try:
        return tuple(installed(settings.catalogues).values()), ""
    except InvalidPackage as error:
        return (), str(error)


def _told(destination: Destination, settings: Settings) -> str:
    match destination:
        case CStoreDestination():
            peer = settings.peers[destination.peer]
            return f"C-STORE to {peer.ae_title} at {peer.host}:{peer.port}"
        case DicomwebDestination():
            return f"STOW-RS to {destination.url}"
        case FolderDestination():
            return f"files in the folder {destination.path}"
