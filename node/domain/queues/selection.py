"""Deliveries that a person acts on, and what becomes of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from node.domain.delivery import CHANGEABLE, Delivery, DeliveryKey, DeliveryState
from node.domain.identifiers import Uid
from node.domain.job import Job, JobState
from node.domain.result_objects import ResultObject


class Interface(StrEnum):
    """Where a person acts; the values are stored in the history."""

    CONSOLE = "console"
    API = "api"
    CLI = "cli"


@dataclass(frozen=True, order=True)
class DeliveryName:
    """Identifies a delivery of the site; `key` is the text of a `DeliveryKey`."""

    job_id: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the name with that text; see `__str__`."""
        job_id, _, key = text.partition(":")
        return cls(job_id, key)

    def __str__(self) -> str:
        """The job and the key, such as `3f1c9a02...:sr@pacs`."""
        return f"{self.job_id}:{self.key}"

    @property
    def destination(self) -> str:
        """The name of the destination."""
        return DeliveryKey.parse(self.key).destination

    @property
    def result_object(self) -> ResultObject:
        """The object that is delivered."""
        return DeliveryKey.parse(self.key).result_object


@dataclass(frozen=True)
class DeliverySelection:
    """The deliveries that meet every condition; one that is empty selects all.

    `names` selects single deliveries, `job_ids` those of some jobs.
    """

    destination: str = ""
    states: frozenset[DeliveryState] = CHANGEABLE
    job_ids: tuple[str, ...] = ()
    names: tuple[DeliveryName, ...] = ()


@dataclass(frozen=True)
class OpenDelivery:
    """A delivery on which a person can act. It waits since `waiting_since`, without pauses."""

    delivery: Delivery
    waiting_since: datetime
    series_instance_uid: Uid

    @property
    def name(self) -> DeliveryName:
        """Identifies the delivery."""
        return DeliveryName(self.delivery.job_id, self.delivery.key)


@dataclass(frozen=True)
class DeliveryChange:
    """What became of a delivery that a person acts on; `refusal` is empty if it changed."""

    name: DeliveryName
    refusal: str = ""


def why_unchangeable(job: Job | None, delivery: Delivery | None) -> str:
    """Returns why a person cannot act on the delivery of the job; empty if it is possible."""
    if job is None or delivery is None:
        return "there is no such delivery"
    if delivery.state not in CHANGEABLE:
        return f"it is {delivery.state}"
    # A parked job with a result is parked because of its parked deliveries, unless it is held:
    # then a person decides about the whole job.
    awaits_person = job.result_path is not None and not job.is_held
    match job.state:
        case JobState.DELIVERING:
            return ""
        case JobState.PARKED if awaits_person and delivery.state is DeliveryState.PARKED:
            return ""
        case state:
            return f"its job is {state}"


def changes_text(changes: Sequence[DeliveryChange], done: str) -> str:
    """Returns how many deliveries changed and why others did not.

    `done` is what became of them, such as "discarded".
    """
    changed = sum(1 for change in changes if not change.refusal)
    refused = [f"{change.name}: {change.refusal}" for change in changes if change.refusal]
    text = f"{changed} {'delivery is' if changed == 1 else 'deliveries are'} {done}."
    if refused:
        text += f" {len(refused)} did not change: {'; '.join(refused[:5])}."
    return text
