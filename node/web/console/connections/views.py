"""What the page of connections shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from models.manifest import InvalidPackage
from node.configuration.connections import table_values
from node.configuration.site_configuration import SiteConfiguration
from node.configuration.toml_edit import TomlValue, set_values
from node.domain.connections.probe import ConnectionName, ConnectionTable
from node.health.rejected_connections import RejectedSender, explain_rejections
from node.settings import Settings
from node.settings.messages.remarks import remarks
from node.store.configuration.processes import ConfiguredProcess
from node.web.console.configuration_text import destination_text

TABLE_TITLES: Mapping[ConnectionTable, str] = {
    ConnectionTable.PEERS: "Senders and other peers",
    ConnectionTable.DESTINATIONS: "Destinations",
    ConnectionTable.SOURCES: "DICOMweb servers to fetch from",
}
SINGULAR: Mapping[ConnectionTable, str] = {
    ConnectionTable.PEERS: "peer",
    ConnectionTable.DESTINATIONS: "destination",
    ConnectionTable.SOURCES: "source",
}
_EMPTY: Mapping[ConnectionTable, str] = {
    ConnectionTable.PEERS: "No peers are listed, so every AE title may send images.",
    ConnectionTable.DESTINATIONS: "There are no destinations, so no rule can deliver results.",
    ConnectionTable.SOURCES: "There are none. The node needs one only if it fetches series itself.",
}


@dataclass(frozen=True)
class ConnectionRow:
    """A connection with its description in one line."""

    connection: ConnectionName
    text: str


@dataclass(frozen=True)
class ConnectionSection:
    """The connections of one table of the settings; `empty` is shown without any."""

    table: ConnectionTable
    title: str
    empty: str
    rows: tuple[ConnectionRow, ...]


@dataclass(frozen=True)
class AcceptedSender:
    """A rejected sender, and the lines that accept it in a configuration file."""

    sender: RejectedSender
    lines: str


@dataclass(frozen=True)
class ConnectionsPage:
    """All connections, the node's own address, and what the listener has rejected.

    `unused` are the processes that cannot use the active revision, and `remarks` sentences about
    settings that are valid and deserve attention.
    """

    settings: Settings
    is_writable: bool
    sections: tuple[ConnectionSection, ...]
    rejected: tuple[AcceptedSender, ...]
    unused: tuple[ConfiguredProcess, ...]
    remarks: tuple[str, ...]


def connections_page(
    configuration: SiteConfiguration, settings: Settings, now: datetime
) -> ConnectionsPage:
    """Returns the content of the page; the settings are those of the active configuration."""
    found = configuration.store.rejected_connections(now)
    return ConnectionsPage(
        settings=settings,
        is_writable=configuration.is_writable,
        sections=tuple(_section(table, settings) for table in TABLE_TITLES),
        rejected=tuple(
            AcceptedSender(sender, _peer_lines(sender))
            for sender in explain_rejections(found, settings)
        ),
        unused=tuple(each for each in configuration.processes(now) if each.problem),
        remarks=remarks_of(settings),
    )


def remarks_of(settings: Settings) -> tuple[str, ...]:
    """Returns the remarks of `segnode check`; none while a model package is invalid."""
    try:
        return tuple(remarks(settings))
    except InvalidPackage:  # the page of models shows it
        return ()


def peer_names(text: str) -> list[str]:
    """Returns the names of the peers in the text."""
    return list(table_values(text, (ConnectionTable.PEERS.value,)))


def suggested_name(ae_title: str) -> str:
    """Returns a name for a peer with that AE title."""
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in ae_title.lower()).strip("-")


def _section(table: ConnectionTable, settings: Settings) -> ConnectionSection:
    match table:
        case ConnectionTable.PEERS:
            texts = {
                name: f"{peer.ae_title} at {peer.host}:{peer.port}{' by TLS' if peer.tls else ''}"
                for name, peer in settings.peers.items()
            }
        case ConnectionTable.SOURCES:
            texts = {name: source.url for name, source in settings.sources.items()}
        case ConnectionTable.DESTINATIONS:
            texts = {
                name: destination_text(destination, settings)
                for name, destination in settings.destinations.items()
            }
    rows = tuple(ConnectionRow(ConnectionName(table, name), text) for name, text in texts.items())
    return ConnectionSection(table, TABLE_TITLES[table], _EMPTY[table], rows)


def _peer_lines(sender: RejectedSender) -> str:
    name = suggested_name(sender.calling_ae_title) or "new"
    values: dict[str, TomlValue | None] = {
        "ae_title": sender.calling_ae_title,
        "host": sender.address,
        "port": 104,
    }
    return set_values("", (ConnectionTable.PEERS.value, name), values)
