"""Probes of the peers, destinations and sources that the settings name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from node.dimse.find import QUERY_MODEL
from node.dimse.remotes import remote_of_peer
from node.dimse.retrieve import GET_MODEL, MOVE_MODEL
from node.domain.connections.failure import ConnectionFailure, ConnectionFault
from node.domain.connections.probe import ConnectionName, ConnectionTable, ProbeReport, ProbeStep
from node.domain.errors import Misconfigured
from node.domain.identifiers import AeTitle
from node.probes import dicom, folder, http, mllp
from node.probes.stored_objects import offer_commitment, offer_objects
from node.settings import (
    CStoreDestination,
    DicomwebDestination,
    FhirDestination,
    FolderDestination,
    Hl7Destination,
    Settings,
)
from node.settings.credentials.http_credentials import credentials_from
from node.settings.credentials.options import HttpServiceOptions

# After these, the steps that follow can still pass.
_PARTIAL = {ConnectionFault.SOP_CLASS, ConnectionFault.DIMSE_STATUS}


@dataclass(frozen=True)
class _Step:
    """A step; `run` returns what it found, and raises ConnectionFailure or Misconfigured."""

    name: str
    run: Callable[[], str]


def connections_of(settings: Settings) -> list[ConnectionName]:
    """Returns every connection that the settings name."""
    names: Mapping[ConnectionTable, Iterable[str]] = {
        ConnectionTable.PEERS: settings.peers,
        ConnectionTable.SOURCES: settings.sources,
        ConnectionTable.DESTINATIONS: settings.destinations,
    }
    return [ConnectionName(table, name) for table, known in names.items() for name in known]


def probe(settings: Settings, connection: ConnectionName) -> ProbeReport:
    """Tries what the connection is used for, without storing or sending an image or a result.

    Raises:
        KeyError: the settings have no such connection.
    """
    match connection.table:
        case ConnectionTable.PEERS:
            steps = _peer_steps(settings, connection.name)
        case ConnectionTable.SOURCES:
            steps = _source_steps(settings, connection.name)
        case ConnectionTable.DESTINATIONS:
            steps = _destination_steps(settings, connection.name)
    return _report(connection, steps)


def _peer_steps(settings: Settings, name: str) -> Iterator[_Step]:
    peer = settings.peers[name]
    remote = remote_of_peer(peer, settings)
    calling = AeTitle(settings.listener.ae_title)
    yield _echo_step(settings, name)
    models = {"move": MOVE_MODEL, "get": GET_MODEL}
    if peer.retrieve is not None:
        model, method = models[peer.retrieve], f"C-{peer.retrieve.upper()}"

        def retrieve() -> str:
            missing = {QUERY_MODEL, model} - dicom.accepted_sop_classes(
                remote, calling, (QUERY_MODEL, model)
            )
            if missing:
                raise ConnectionFailure(
                    ConnectionFault.SOP_CLASS,
                    f"{remote} does not accept {' and '.join(sorted(m.name for m in missing))}",
                    f"allow queries (C-FIND) and {method} there for {calling}",
                )
            return f"It accepts queries and {method} from {calling}."

        yield _Step("Query and retrieve", retrieve)


def _source_steps(settings: Settings, name: str) -> Iterator[_Step]:
    source = settings.sources[name]

    def search() -> str:
        http.search(_service(source.url, source, f"sources.{name}"))
        return f"{source.url} answered a search."

    yield _Step("Search (QIDO-RS)", search)


def _destination_steps(settings: Settings, name: str) -> Iterator[_Step]:
    match settings.destinations[name]:
        case CStoreDestination() as cstore:
            yield _echo_step(settings, cstore.peer)
            yield _Step("Objects", lambda: offer_objects(settings, cstore))
            if cstore.commitment is not None:
                yield _Step("Storage commitment", lambda: offer_commitment(settings, cstore))
        case DicomwebDestination() as dicomweb:

            def store() -> str:
                http.store_nothing(_service(dicomweb.url, dicomweb, f"destinations.{name}"))
                return f"{dicomweb.url} answered a request without images."

            yield _Step("Storage (STOW-RS)", store)
        case FolderDestination(path=path):
            yield _Step("Folder", lambda: f"{folder.write(path)} can be written.")
        case Hl7Destination() as hl7:

            def connect() -> str:
                mllp.connect(hl7)
                secured = " with TLS" if hl7.tls else ""
                return f"{hl7.host}:{hl7.port} takes connections{secured}; no message was sent."

            yield _Step("Connection (MLLP)", connect)
        case FhirDestination() as fhir:

            def read() -> str:
                http.read_capabilities(_service(fhir.url, fhir, f"destinations.{name}"))
                return f"{fhir.url} is a FHIR R4 server."

            yield _Step("Capability statement (FHIR)", read)


def _echo_step(settings: Settings, peer_name: str) -> _Step:
    remote = remote_of_peer(settings.peers[peer_name], settings)

    def echo() -> str:
        dicom.echo(remote, AeTitle(settings.listener.ae_title))
        return f"{remote} answered C-ECHO."

    return _Step("C-ECHO", echo)


def _service(url: str, options: HttpServiceOptions, path: str) -> http.HttpService:
    return http.HttpService(url.rstrip("/"), credentials_from(options, path), options.tls_files)


def _report(connection: ConnectionName, steps: Iterable[_Step]) -> ProbeReport:
    done: list[ProbeStep] = []
    for step in steps:
        done.append(_run(step))
        fault = done[-1].fault
        if fault is not None and fault not in _PARTIAL:
            break
    return ProbeReport(connection, tuple(done))


def _run(step: _Step) -> ProbeStep:
    try:
        return ProbeStep(step.name, step.run())
    except ConnectionFailure as failure:
        return ProbeStep(step.name, f"{failure.text}.", failure.fault, f"{failure.remedy}.")
    except Misconfigured as error:
        return ProbeStep(
            step.name,
            f"{error}.",
            ConnectionFault.CONFIGURATION,
            "correct the setting, or give the service that runs the node the secret.",
        )
