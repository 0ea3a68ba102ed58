"""Builds the destinations that the settings name."""

from collections.abc import Mapping

from node.delivery.cstore import CStore
from node.delivery.destination import Destination
from node.delivery.dicomweb import DicomWeb
from node.delivery.folder import Folder
from node.dimse.remotes import remote_of_peer
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.identifiers import AeTitle
from node.domain.result_objects import WantedObjects
from node.settings import (
    CStoreDestination,
    DicomwebDestination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    Settings,
)
from node.settings.credentials.http_credentials import credentials_from
from node.store.files.access import Readers


def destinations_from(
    settings: Settings, certificates: SeenCertificates | None = None
) -> Mapping[str, Destination]:
    """Returns every destination of the site, by its name; `certificates` gets those of peers.

    Raises:
        Misconfigured: a password, token or other secret is missing.
    """
    return {name: _destination(name, settings, certificates) for name in settings.destinations}


def wanted_objects(settings: Settings) -> Mapping[str, WantedObjects]:
    """Returns the objects that each destination gets, by its name."""
    return {name: destination.wanted for name, destination in settings.destinations.items()}


def _destination(
    name: str, settings: Settings, certificates: SeenCertificates | None
) -> Destination:
    match settings.destinations[name]:
        case CStoreDestination() as cstore:
            return CStore(
                name,
                remote_of_peer(settings.peers[cstore.peer], settings, certificates),
                AeTitle(settings.listener.ae_title),
                deflated=cstore.deflated,
            )
        case DicomwebDestination() as dicomweb:
            return DicomWeb(
                name,
                dicomweb.url.rstrip("/"),
                credentials_from(dicomweb, f"destinations.{name}"),
                deflated=dicomweb.deflated,
                files=dicomweb.tls_files,
            )
        case FolderDestination() as folder:
            readers = Readers(folder.readable_by)
            return Folder(name, folder.path, deflated=folder.deflated, readers=readers)
        # The libraries of HL7 and FHIR take a quarter of a second to import.
        case Hl7Destination() as hl7:
            from node.delivery.his.hl7 import Hl7

            return Hl7(name, hl7)
        case FhirDestination() as fhir:
            from node.delivery.his.fhir import Fhir

            return Fhir(name, fhir, credentials_from(fhir, f"destinations.{name}"))
