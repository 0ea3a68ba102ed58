"""The site's settings: one frozen tree, read from a TOML file and the environment, validated."""

from node.settings.access.logins import AccessOptions
from node.settings.alerting import AlertOptions, MailOptions, MonitoringOptions, WebhookOptions
from node.settings.destinations import (
    CStoreDestination,
    Destination,
    DicomwebDestination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    ObservationCode,
)
from node.settings.load import (
    host_settings,
    load_location,
    load_location_only,
    load_revision,
    load_settings,
)
from node.settings.network.listener import ListenerOptions
from node.settings.network.peers import Peer
from node.settings.network.tls import DicomTlsOptions
from node.settings.network.web import WebOptions
from node.settings.options import (
    DeliveryOptions,
    DicomwebSource,
    ResultOptions,
    RetentionOptions,
    Settings,
    WorkerOptions,
)

__all__ = [
    "AccessOptions",
    "AlertOptions",
    "CStoreDestination",
    "DeliveryOptions",
    "Destination",
    "DicomTlsOptions",
    "DicomwebDestination",
    "DicomwebSource",
    "FhirDestination",
    "FolderDestination",
    "Hl7Destination",
    "ListenerOptions",
    "MailOptions",
    "MonitoringOptions",
    "ObservationCode",
    "Peer",
    "ResultOptions",
    "RetentionOptions",
    "Settings",
    "WebOptions",
    "WebhookOptions",
    "WorkerOptions",
    "host_settings",
    "load_location",
    "load_location_only",
    "load_revision",
    "load_settings",
]
