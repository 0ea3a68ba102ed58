"""The sources of series that the settings name: DICOMweb servers, and peers with `retrieve`."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from node.dicom.query import FoundSeries, QueryLevel, SeriesQuery, TooManyMatches
from node.dimse.find import finding
from node.dimse.remotes import remote_of_peer
from node.dimse.retrieve import MoveDestination, NotPerformed, get_series, move_series
from node.dimse.scu import Remote
from node.dimse.tls.seen_certificates import SeenCertificates
from node.domain.errors import Misconfigured, Rejected, RejectionReason, Transient
from node.domain.identifiers import AeTitle, Uid
from node.intake.qido_search import searching
from node.intake.retriever import Accept, RetrieveSeries
from node.intake.wado_retrieval import DicomWebSource, retrieve_series
from node.retrieval.series_search import Find, find_series, find_studies
from node.routing.attributes import suggestion
from node.settings import Settings
from node.settings.credentials.http_credentials import credentials_from
from node.store import Store


@dataclass(frozen=True)
class SearchableSource:
    """A source by its name in the settings; `searching` opens a connection for searches."""

    name: str
    searching: Callable[[], AbstractContextManager[Find]]

    def search(self, query: SeriesQuery, max_matches: int) -> list[FoundSeries]:
        """Returns the series that match, by study.

        Raises:
            Transient: the source does not answer, or refuses the query.
            TooManyMatches: more than `max_matches` studies or series match.
        """
        found: list[FoundSeries] = []
        with self.searching() as find:
            for study in find_studies(find, query, max_matches):
                found += find_series(find, query, study, max_matches)
                if len(found) > max_matches:
                    raise TooManyMatches(self.name, max_matches)
        return found


def retrieval_source_names(settings: Settings) -> list[str]:
    """The names of everything that series can be retrieved from."""
    peers = [name for name, peer in settings.peers.items() if peer.retrieve is not None]
    return [*settings.sources, *peers]


def unknown_source(settings: Settings, name: str) -> str:
    """The message about a name that is no source; it says what to do."""
    if name in settings.peers:
        return (
            f"peer {name!r} has no setting `retrieve`: set it to "
            '"move" (C-MOVE to this node) or "get" (C-GET)'
        )
    hint = suggestion(name, retrieval_source_names(settings))
    return f"the configuration has no source {name!r}{hint}"


def searchable_source(settings: Settings, name: str) -> SearchableSource:
    """Returns the source with that name.

    Raises:
        Misconfigured: no source has that name, or its password or token is missing.
    """
    if name in settings.sources:
        return SearchableSource(name, partial(searching, _dicomweb_source(settings, name)))
    peer = settings.peers.get(name)
    if peer is None or peer.retrieve is None:
        raise Misconfigured(unknown_source(settings, name), file=settings.file)
    calling = AeTitle(settings.listener.ae_title)
    return SearchableSource(name, partial(finding, remote_of_peer(peer, settings), calling))


def retrieval_sources(
    settings: Settings, store: Store, certificates: SeenCertificates | None = None
) -> Mapping[str, RetrieveSeries]:
    """Returns how to retrieve a series from each source; `certificates` gets those of peers.

    Raises:
        Misconfigured: the password or token of a source is missing.
    """
    sources: dict[str, RetrieveSeries] = {
        name: partial(retrieve_series, _dicomweb_source(settings, name))
        for name in settings.sources
    }
    for name, peer in settings.peers.items():
        if peer.retrieve is not None:
            sources[name] = _peer_source(
                settings, store, remote_of_peer(peer, settings, certificates), peer.retrieve
            )
    return sources


def _peer_source(
    settings: Settings, store: Store, remote: Remote, method: Literal["move", "get"]
) -> RetrieveSeries:
    ae_title = AeTitle(settings.listener.ae_title)
    match method:
        case "get":
            return PeerSource(remote, ae_title, partial(get_series, remote, ae_title))
        case "move":
            destination = MoveDestination(ae_title, settings.listener.ports_text)
            return PeerSource(remote, ae_title, MoveToListener(remote, destination, store))


@dataclass(frozen=True)
class PeerSource:
    """Retrieves series from a peer; distinguishes a missing series from a failed retrieval."""

    remote: Remote
    calling: AeTitle
    retrieve: RetrieveSeries

    def __call__(self, study: Uid, series: Uid, accept: Accept) -> int:
        """Retrieves the series; returns its number of instances.

        Raises:
            Transient: not every instance arrived; a later attempt may succeed.
            Rejected: the remote does not have the series, or sent an invalid instance.
        """
        try:
            return self.retrieve(study, series, accept)
        except NotPerformed as error:
            # Some peers answer with a general failure where they do not have the series.
            if self._is_missing(study, series):
                raise Rejected(
                    RejectionReason.INVALID_INSTANCE,
                    f"{self.remote} has no images of series {series}",
                ) from error
            raise

    def _is_missing(self, study: Uid, series: Uid) -> bool:
        keys = {"StudyInstanceUID": str(study), "SeriesInstanceUID": str(series)}
        try:
            with finding(self.remote, self.calling) as find:
                return not find(QueryLevel.SERIES, keys, 1)
        except (Transient, TooManyMatches):
            return False  # without an answer nobody knows


@dataclass(frozen=True)
class MoveToListener:
    """Retrieves a series by C-MOVE; the listener, a process of its own, receives the instances."""

    remote: Remote
    destination: MoveDestination
    store: Store

    def __call__(self, study: Uid, series: Uid, accept: Accept) -> int:
        """Retrieves the series; returns its number of instances. `accept` is not needed.

        Raises:
            Transient: the remote did not send every instance, or sent them elsewhere.
            Rejected: the remote does not have the series.
        """
        del accept
        count = move_series(self.remote, self.destination, study, series)
        stored = self.store.get_series(series)
        arrived = 0 if stored is None else stored.instance_count
        if arrived < count:
            raise Transient(
                f"{self.remote} sent {count} images to {self.destination.ae_title}, "
                f"but {arrived} arrived here: check that this AE title has the address of this "
                f"machine and {self.destination.ports} there"
            )
        return count


def _dicomweb_source(settings: Settings, name: str) -> DicomWebSource:
    source = settings.sources[name]
    return DicomWebSource(
        name,
        source.url.rstrip("/"),
        credentials_from(source, f"sources.{name}"),
        source.tls_files,
    )
