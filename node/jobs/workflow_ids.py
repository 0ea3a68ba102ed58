"""The ids of the workflows in DBOS; a rolling upgrade relies on their form."""

from dataclasses import dataclass, replace
from typing import Self

from node.domain.queues.selection import DeliveryName
from node.jobs.deliver_step import DeliveryAttempt


@dataclass(frozen=True)
class RunPart:
    """One workflow of a job's run; a postponed run continues in the next part.

    `run_number` counts the job's runs, `number` the parts of the run, from 1.
    """

    job_id: str
    run_number: int
    number: int = 1

    @classmethod
    def of(cls, workflow_id: str) -> Self:
        """Parses a workflow id."""
        _, job_id, *numbers = workflow_id.split(":")
        return cls(job_id, *(int(number) for number in numbers))

    @property
    def workflow_id(self) -> str:
        """The id in DBOS; that of a first part is the same in every version."""
        name = f"run:{self.job_id}:{self.run_number}"
        return name if self.number == 1 else f"{name}:{self.number}"

    def next(self) -> Self:
        """The following part."""
        return replace(self, number=self.number + 1)


def run_suffix(run_number: int) -> str:
    """Distinguishes the deliveries of later runs, whose attempts may count from 1 again."""
    return "" if run_number == 1 else f"-run{run_number}"


def delivery_id(this: DeliveryAttempt, repair: str) -> str:
    """Returns the workflow id of an attempt at a delivery."""
    # The key comes last because the name of the destination is free text.
    return f"deliver:{this.job_id}:{this.number}{repair}:{this.key}"


@dataclass(frozen=True)
class DeliveryWorkflow:
    """The workflow of attempt `number` at a delivery; `is_delayed` while it waits for its time."""

    workflow_id: str
    name: DeliveryName
    number: int
    is_delayed: bool

    @classmethod
    def of(cls, workflow_id: str, *, is_delayed: bool) -> Self:
        """Parses a workflow id; see `delivery_id`."""
        _, job_id, number, key = workflow_id.split(":", 3)
        name = DeliveryName(job_id, key)
        return cls(workflow_id, name, int(number.partition("-")[0]), is_delayed)
