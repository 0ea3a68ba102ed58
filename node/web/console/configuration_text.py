"""Text of the console page that describes the node's configuration."""

from dataclasses import dataclass

from models.installed_packages import installed
from models.manifest import InvalidPackage, ModelSpec
from node.routing.conditions import Verdict
from node.routing.rules import Rule, own_condition
from node.routing.series_facts import SeriesFacts
from node.settings import (
    CStoreDestination,
    Destination,
    DicomwebDestination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    Settings,
)


@dataclass(frozen=True)
class RuleText:
    """A rule; `condition` is evaluated on an empty series, and only its text is used."""

    rule: Rule
    condition: Verdict


@dataclass(frozen=True)
class ConfigurationText:
    """The whole configuration; `models_error` is the reason why models cannot be listed."""

    settings: Settings
    rules: tuple[RuleText, ...]
    destinations: tuple[tuple[str, str], ...]
    models: tuple[ModelSpec, ...]
    models_error: str


def describe_configuration(settings: Settings) -> ConfigurationText:
    """Returns the configuration as the page "This node" shows it, without passwords."""
    models, error = _models(settings)
    empty_series = SeriesFacts({}, 0, "")
    return ConfigurationText(
        settings=settings,
        rules=tuple(
            RuleText(rule, own_condition(rule).evaluate(empty_series)) for rule in settings.rules
        ),
        destinations=tuple(
            (name, destination_text(destination, settings))
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


def destination_text(destination: Destination, settings: Settings) -> str:
    """Returns where a destination sends, in one line."""
    match destination:
        case CStoreDestination():
            peer = settings.peers[destination.peer]
            return f"C-STORE to {peer.ae_title} at {peer.host}:{peer.port}"
        case DicomwebDestination():
            return f"STOW-RS to {destination.url}"
        case FolderDestination():
            return f"files in the folder {destination.path}"
        case Hl7Destination(host=host, port=port):
            secured = " with TLS" if destination.tls else ""
            return f"HL7 ORU^R01 to {host}:{port}{secured}"
        case FhirDestination():
            return f"FHIR R4 to {destination.url}"
