"""The delivery of one object of a job to one destination."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Self

from node.domain.result_objects import SEG, ResultKind, ResultObject, SegEncoding

_SEPARATOR = "@"
# The receipt of a delivery whose destination got a fallback instead starts with this.
REPLACED = "not accepted, "


class DeliveryState(StrEnum):
    """State of a delivery."""

    WAITING = "waiting"  # due now or at `next_try_at`
    COMMITTING = "committing"  # sent; storage commitment is outstanding
    DELIVERED = "delivered"
    PARKED = "parked"  # stopped after errors; a person can retry it
    DISCARDED = "discarded"  # final: a person gave it up or redirected it


# A person can retry, redirect or discard a delivery in these states.
CHANGEABLE = frozenset({DeliveryState.WAITING, DeliveryState.PARKED})


@dataclass(frozen=True)
class Receipt:
    """The destination's answer to a successful delivery, in one line."""

    destination: str
    detail: str


@dataclass(frozen=True)
class DeliveryKey:
    """What is delivered where. `str(key)` identifies the delivery within its job."""

    destination: str
    result_object: ResultObject = SEG

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the key with that text; see `__str__`."""
        name, separator, destination = text.partition(_SEPARATOR)
        if separator:
            try:
                return cls(destination, ResultObject.parse(name))
            except ValueError:
                pass  # a destination whose own name has the separator
        return cls(text)

    @property
    def title(self) -> str:
        """What a person reads: `pacs` for the SEG, which goes without saying; `report to ehr`."""
        if self.result_object.kind is ResultKind.SEG:
            return self.destination
        return f"{self.result_object.kind.noun} to {self.destination}"

    def __str__(self) -> str:
        """`pacs` for the SEG with all frames, as in earlier versions; otherwise `sr@pacs`."""
        if self.result_object == SEG:
            return self.destination
        return f"{self.result_object.name}{_SEPARATOR}{self.destination}"


def keys_of(destination: str) -> tuple[str, ...]:
    """Returns the key of every object that can be delivered to a destination."""
    objects = sorted(
        {ResultObject.of(kind, encoding) for kind in ResultKind for encoding in SegEncoding}
    )
    return tuple(str(DeliveryKey(destination, each)) for each in objects)


@dataclass(frozen=True)
class Delivery:
    """A delivery as stored; `key` is the text of a `DeliveryKey`. Times are UTC.

    `receipt` is the answer of the destination, or why a person discarded the delivery.
    """

    job_id: str
    key: str
    state: DeliveryState
    attempts: int
    next_try_at: datetime | None
    last_error: str
    receipt: str

    @property
    def destination(self) -> str:
        """The name of the destination."""
        return DeliveryKey.parse(self.key).destination

    @property
    def result_object(self) -> ResultObject:
        """The object that is delivered."""
        return DeliveryKey.parse(self.key).result_object

    @property
    def has_arrived(self) -> bool:
        """Whether the destination has the object itself, not a fallback instead."""
        return self.state is DeliveryState.DELIVERED and not self.receipt.startswith(REPLACED)


def removed_destination(name: str) -> str:
    """Why nothing is sent to a destination that the configuration no longer has, and what to do."""
    return (
        f"the configuration no longer has a destination {name!r}: redirect or discard what waits "
        "for it (page Queues; segnode jobs redirect, segnode jobs discard), or add it again"
    )


def not_delivered(deliveries: Iterable[Delivery]) -> str:
    """Says which parked objects did not reach which destination, and why; empty without any."""
    parked = [one for one in deliveries if one.state is DeliveryState.PARKED]
    ordered = sorted(parked, key=lambda one: (one.destination, one.last_error))
    texts = []
    for (destination, error), group in groupby(
        ordered, key=lambda one: (one.destination, one.last_error)
    ):
        nouns = [one.result_object.kind.noun for one in group]
        verb = "were" if len(nouns) > 1 or nouns[0].endswith("s") else "was"
        subject = " and the ".join(nouns)
        texts.append(f"the {subject} {verb} not delivered to {destination}: {error}")
    return "; ".join(texts)


def discarded_text(deliveries: Iterable[Delivery]) -> str:
    """Returns which deliveries a person discarded and why; empty if none is discarded."""
    discarded = [d for d in deliveries if d.state is DeliveryState.DISCARDED]
    if not discarded:
        return ""
    return "not sent to " + "; ".join(
        f"{DeliveryKey.parse(d.key).title}: {d.receipt}" for d in discarded
    )
