"""Builds the final data set of a work item, which is stored before the server gets it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.domain.worklists.codes import Code
from node.domain.worklists.work_item import WorkItem
from node.store import Store
from node.worklists.input_progress import Ending, InputProgress
from node.worklists.outputs import Archive, outputs_of
from node.worklists.performed import Performance, cancellation_report, completion_report


@dataclass(frozen=True)
class FinalReports:
    """Final data sets as DICOM JSON. `station` is the code of this node as a station."""

    store: Store
    station: Code
    archives: Mapping[str, Archive]

    def of_completion(self, item: WorkItem, inputs: Sequence[InputProgress], now: datetime) -> str:
        """Returns the report of a performed work item; empty if nothing can be retrieved."""
        performance = self._performance(item, inputs, now)
        return completion_report(performance).to_json() if performance.outputs else ""

    def of_cancellation(
        self,
        item: WorkItem,
        inputs: Sequence[InputProgress],
        now: datetime,
        *,
        code: Code,
        reason: str,
    ) -> str:
        """Returns the report of a work item that is not performed."""
        performance = self._performance(item, inputs, now)
        return cancellation_report(performance, item.progress, reason, code).to_json()

    def _performance(
        self, item: WorkItem, inputs: Sequence[InputProgress], now: datetime
    ) -> Performance:
        jobs = [job for one in inputs if one.ending is Ending.DELIVERED for job in one.jobs]
        models = dict.fromkeys(f"{job.model_id} {job.model_version}" for job in jobs)
        return Performance(
            station=self.station,
            workitem_codes=() if item.code is None else (item.code,),
            started_at=item.claimed_at or item.created_at,
            ended_at=now,
            description=", ".join(models) or "not performed",
            outputs=tuple(
                output for job in jobs for output in outputs_of(self.store, job, self.archives)
            ),
        )
