"""Pauses of queues: of one destination, or of the inference."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from node.domain.queues.selection import Interface


class QueueKind(StrEnum):
    """A kind of queue; the values are stored."""

    INFERENCE = "inference"  # jobs that wait for the model
    DESTINATION = "destination"  # deliveries that wait for one destination


@dataclass(frozen=True)
class Queue:
    """A queue that a person can pause; `destination` is empty for the inference."""

    kind: QueueKind
    destination: str = ""

    @classmethod
    def of_destination(cls, name: str) -> "Queue":
        """Returns the queue of a destination."""
        return cls(QueueKind.DESTINATION, name)

    @property
    def title(self) -> str:
        """Names the queue in texts."""
        match self.kind:
            case QueueKind.INFERENCE:
                return "the inference"
            case QueueKind.DESTINATION:
                return f"the destination {self.destination}"


INFERENCE = Queue(QueueKind.INFERENCE)


@dataclass(frozen=True)
class Pause:
    """A queue that is paused: no work of it starts, and no delivery of it is given up.

    `user` is who paused it at the interface `by`; empty where only the interface is known.
    """

    queue: Queue
    paused_at: datetime
    by: Interface
    reason: str = ""
    user: str = ""

    @property
    def author(self) -> str:
        """Who paused it, as far as known."""
        return self.user or self.by.value


@dataclass(frozen=True)
class DestinationQueue:
    """The deliveries that wait for a destination or were given up.

    `error` is that of one of them; `oldest_since` is since when the first of them waits.
    `committing` are sent, and the destination has yet to confirm that it keeps them.
    """

    destination: str
    waiting: int = 0
    parked: int = 0
    committing: int = 0
    oldest_since: datetime | None = None
    next_attempt_at: datetime | None = None
    error: str = ""
    pause: Pause | None = None
