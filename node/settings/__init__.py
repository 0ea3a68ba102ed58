"""The site's settings: one frozen tree, read from a TOML file and the environment, validated."""

from node.settings.load import load_settings
from node.settings.options import (
    CStoreDestination,
    DeliveryOptions,
    Destination,
    DicomwebDestination,
    DicomwebSource,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    ListenerOptions,
    ObservationCode,
    Peer,
    ResultOptions,
    RetentionOptions,
    Settings,
    WebOptions,
    WorkerOptions,
)

__all__ = [
    "CStoreDestination",
    "DeliveryOptions",
    "Destination",
    "DicomwebDestination",
    "DicomwebSource",
    "FhirDestination",
    "FolderDestination",
    "Hl7Destination",
    "ListenerOptions",
    "ObservationCode",
    "Peer",
    "ResultOptions",
    "RetentionOptions",
    "Settings",
    "WebOptions",
    "WorkerOptions",
    "load_settings",
]
