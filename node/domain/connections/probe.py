"""The result of a probe: whether a connection works, and if not, why and what to do."""

from dataclasses import dataclass
from enum import StrEnum

from node.domain.connections.failure import ConnectionFault


class ConnectionTable(StrEnum):
    """The tables of the settings that hold connections."""

    PEERS = "peers"
    SOURCES = "sources"
    DESTINATIONS = "destinations"


@dataclass(frozen=True, order=True)
class ConnectionName:
    """A connection by its table and its name there, such as `destinations.pacs`."""

    table: ConnectionTable
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class ProbeStep:
    """One step; `fault` is None if it passed, and then `remedy` is empty."""

    name: str
    text: str
    fault: ConnectionFault | None = None
    remedy: str = ""

    @property
    def passed(self) -> bool:
        """Whether the step passed."""
        return self.fault is None


@dataclass(frozen=True)
class ProbeReport:
    """The steps of the probe of one connection, in order; the first failure may end it."""

    connection: ConnectionName
    steps: tuple[ProbeStep, ...]

    @property
    def passed(self) -> bool:
        """Whether every step passed."""
        return all(step.passed for step in self.steps)
