"""The site's settings: one frozen tree, read from a TOML file and the environment, validated."""

from node.settings.load import load_settings
from node.settings.options import (
    CStoreDestination,
    DeliveryOptions,
    Destination,
    DicomwebDestination,
    DicomwebSource,
    FolderDestination,
    ListenerOptions,
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
    "FolderDestination",
    "ListenerOptions",
    "Peer",
    "ResultOptions",
    "RetentionOptions",
    "Settings",
    "WebOptions",
    "WorkerOptions",
    "load_settings",
]
